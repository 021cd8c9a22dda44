// Search by title: an editable combobox with a list, as the ARIA Authoring Practices describe it.

import { announce, api, bdi, counted, el, guarded, nameOf } from "./common.js";

/** Make `input` search the catalogue into `list`; `choose(item)` is called with what is picked. */
export function combobox(input, list, choose) {
  let found = [];
  let active = -1;
  let turn = 0;
  let timer = 0;

  function close() {
    clearTimeout(timer);
    turn += 1; // what is still on its way comes too late
    found = [];
    active = -1;
    list.replaceChildren();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    active = index;
    found.forEach((item, at) => list.children[at].setAttribute("aria-selected", String(at === active)));
    if (active < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[active].id);
    return list.children[active].scrollIntoView({ block: "nearest" });
  }

  function pick(item) {
    input.value = "";
    close();
    input.focus();
    choose(item);
  }

  function option(item, index) {
    const values = Object.values(item.attributes ?? {}).flat().slice(0, 4).join(", ");
    const notes = [values, item.available === false ? "not available now" : ""].filter(Boolean).join(" · ");
    return el("li", { role: "option", id: `option-${index}`, "aria-selected": "false",
                      onclick: () => pick(item) },
      bdi(nameOf(item)), notes ? el("small", {}, notes) : null);
  }

  const look = guarded(async () => {
    const text = input.value.trim();
    if (!text) return close();
    const mine = ++turn;
    const { items, total } = await api("GET", `/v1/items?search=${encodeURIComponent(text)}&limit=10`);
    if (mine !== turn) return undefined;
    found = items;
    const nothing = `No title contains “${text}”.`;
    list.replaceChildren(...(found.length ? found.map(option) :
      [el("li", { class: "nothing", role: "option", "aria-disabled": "true" }, nothing)]));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(found.length ? 0 : -1);
    const rest = total > found.length ? `, the first ${found.length} are listed` : "";
    return announce(found.length ? `${counted(total, "title")} found${rest}.` : nothing);
  });

  const step = (by) => found.length && mark((active + by + found.length) % found.length);
  const keys = {
    ArrowDown: () => (list.hidden ? look() : step(1)),
    ArrowUp: () => step(-1),
    Enter: () => (active >= 0 ? pick(found[active]) : look()),
    Escape: () => (list.hidden ? (input.value = "") : close()),
  };
  input.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.isComposing) return;
    event.preventDefault();
    keys[event.key]();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 150);
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the field
  input.addEventListener("blur", close);
}
