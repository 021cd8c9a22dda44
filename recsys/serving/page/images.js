// Images of items, each in a box of one size: nothing moves when an image comes late, fails, or is not there.

import { api, el, keyOf, nameOf } from "./common.js";

const addresses = new Map(); // key of an item -> a promise of its image's address, null where it has none

/** The address of an item's image, which the service is asked for once; null where there is none. */
function addressOf({ id }) {
  if (!addresses.has(keyOf(id))) {
    addresses.set(keyOf(id), api("GET", `/v1/items/${encodeURIComponent(String(id))}`)
      .then(({ image }) => image, () => null));
  }
  return addresses.get(keyOf(id));
}

/** Wait, at the first list alone, for the images' addresses: whether there are any decides how lists are laid out. */
export async function firstImages(items) {
  if (addresses.size) return;
  const found = await Promise.all(items.map(addressOf));
  if (found.some(Boolean)) makeRoom();
}

const makeRoom = () => document.body.classList.add("pictured");

/** An item's image in a box; the first letter of its name stands there where there is none, or it cannot be loaded. */
export function imageBox(item) {
  const [letter] = nameOf(item);
  const box = el("span", { class: "image" }, el("span", { "aria-hidden": "true" }, letter.toUpperCase()));
  addressOf(item).then((address) => {
    if (!address) return;
    makeRoom();
    box.append(el("img", { src: address, alt: nameOf(item), loading: "lazy", decoding: "async",
                           referrerpolicy: "no-referrer", onerror: (event) => event.target.remove() }));
  });
  return box;
}
