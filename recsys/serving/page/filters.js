// Chips that narrow the list to some values of the catalogue's attributes.

import { bdi, count, el } from "./common.js";

const SHOWN = 12; // values of an attribute, the most frequent ones
const MOST = 60; // after "more"

/** Fill `host`, a details element, with a chip for each value; `changed({attribute: [values]})` gets what is chosen. */
export function filters(host, attributes, changed) {
  const chosen = new Map(); // attribute -> set of values

  function choose(name, value, wanted) {
    const values = chosen.get(name) ?? new Set();
    if (wanted) chosen.set(name, values.add(value));
    else if (values.delete(value) && !values.size) chosen.delete(name);
    changed(Object.fromEntries([...chosen].map(([key, set]) => [key, [...set]])));
  }

  function group([name, values]) {
    const frequent = Object.entries(values).sort(([, a], [, b]) => b - a).slice(0, MOST);
    const chips = frequent.map(([value, items], at) => el("label", { class: "chip", hidden: at >= SHOWN },
      el("input", { type: "checkbox", onchange: (event) => choose(name, value, event.target.checked) }),
      el("span", {}, bdi(value), " ", el("small", {}, count(items)))));
    const more = el("button", { type: "button", class: "quiet", hidden: chips.length <= SHOWN, onclick: () => {
      chips.forEach((chip) => { chip.hidden = false; });
      more.hidden = true;
      chips[SHOWN].firstChild.focus();
    } }, `${chips.length - SHOWN} more`);
    return el("fieldset", {}, el("legend", {}, name), chips, more);
  }

  host.hidden = !Object.keys(attributes).length;
  host.open = matchMedia("(min-width: 52rem)").matches;
  host.append(...Object.entries(attributes).map(group));
}
