// What the pages draw, as SVG: what each click adds to a score, lines over time, and intervals.

import { el, keyOf, nameOf, number, svg } from "./common.js";

const COLOURS = 8; // classes colour-0 ... colour-7 of style.css

/** A number and a colour for every item that explains something, kept as long as the item is in use. */
export class Marks {
  #numbers = new Map();

  /** Keep the marks of these items, give new ones the smallest free numbers, and free the others. */
  keep(ids) {
    const keys = new Set(ids.map(keyOf));
    for (const key of this.#numbers.keys()) if (!keys.has(key)) this.#numbers.delete(key);
    const taken = new Set(this.#numbers.values());
    let free = 1;
    for (const key of keys) {
      if (this.#numbers.has(key)) continue;
      while (taken.has(free)) free += 1;
      taken.add(free);
      this.#numbers.set(key, free);
    }
  }

  /** The number of an item, or undefined where it has none. */
  number(id) {
    return this.#numbers.get(keyOf(id));
  }

  /** The class that colours an item. */
  colour(id) {
    const mark = this.number(id);
    return mark === undefined ? "colour-rest" : `colour-${(mark - 1) % COLOURS}`;
  }

  /** The mark as a small disc with its number. */
  disc(id) {
    return el("span", { class: `mark ${this.colour(id)}`, "aria-hidden": "true" }, String(this.number(id) ?? "…"));
  }
}

const signed = (value) => number(value, 2, { signDisplay: "exceptZero" });

/** What a reason is called; the part that no item explains has a name of its own. */
export const reasonName = (reason) => (reason.item == null ? "everything else" : nameOf(reason));

/** The ends of the bars of several items, on one scale: the largest sums below and above 0. */
export function extent(lists) {
  const side = (sign) => Math.max(0, ...lists.map((reasons) =>
    reasons.reduce((sum, { contribution }) => sum + Math.max(0, sign * contribution), 0)));
  return { low: -side(-1), high: side(1) };
}

/** Reasons by their marks, the same in every bar; what has no mark comes last. */
const inOrder = (reasons, marks) =>
  [...reasons].sort((a, b) => (marks.number(a.item) ?? Infinity) - (marks.number(b.item) ?? Infinity));

/** A stacked bar of the parts of one score: what adds to the right of 0, what takes away to the left. */
export function contributionBar(reasons, marks, { low, high }) {
  const percent = (value) => (100 * value) / (high - low);
  const zero = percent(-low);
  const ends = { left: zero, right: zero };
  const parts = inOrder(reasons, marks).map((reason) => {
    const width = percent(Math.abs(reason.contribution));
    const x = reason.contribution > 0 ? ends.right : ends.left - width;
    if (reason.contribution > 0) ends.right += width;
    else ends.left -= width;
    const label = width > 7 && marks.number(reason.item);
    return svg("g", { class: marks.colour(reason.item) },
      svg("title", {}, `${reasonName(reason)} ${signed(reason.contribution)}`),
      svg("rect", { x: `${x}%`, width: `${width}%`, y: 0, height: 18 }),
      label ? svg("text", { x: `${x + width / 2}%`, y: 13, "text-anchor": "middle" }, String(label)) : null);
  });
  const words = reasons.map((reason) => `${reasonName(reason)} ${signed(reason.contribution)}`).join(", ");
  return svg("svg", { class: "bar", role: "img", "aria-label": `What each adds: ${words}`, width: "100%", height: 18 },
    parts, low < 0 ? svg("line", { class: "zero", x1: `${zero}%`, x2: `${zero}%`, y1: 0, y2: 18 }) : null);
}

/** The same as numbers: a row for each recommended item, a column for each item that explains. */
export function contributionTable(items, marks) {
  const columns = new Map();
  for (const reason of items.flatMap((item) => item.reasons ?? [])) columns.set(keyOf(reason.item), reason);
  const order = inOrder(columns.values(), marks);
  const cells = (item) => {
    const own = new Map((item.reasons ?? []).map((reason) => [keyOf(reason.item), reason.contribution]));
    const text = ({ item: id }) => (own.has(keyOf(id)) ? signed(own.get(keyOf(id))) : "–");
    return order.map((reason) => el("td", {}, text(reason)));
  };
  return el("table", { "aria-describedby": "numbers-note" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Recommended"), el("th", { scope: "col" }, "Score"),
      order.map((reason) => el("th", { scope: "col", dir: "auto" }, marks.disc(reason.item), " ",
        reasonName(reason))))),
    el("tbody", {}, items.map((item) => el("tr", {}, el("th", { scope: "row", dir: "auto" }, nameOf(item)),
      el("td", {}, number(item.score)), cells(item)))));
}

const WIDTH = 300;
const HEIGHT = 80;

/** The smallest of 1, 2, 5 times a power of ten that is at least `value`. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

function pathOf(points, x, y, gap) {
  let path = "";
  let last = null;
  for (const [time, value] of points) {
    if (value === null) {
      last = null;
      continue;
    }
    const joined = last !== null && time - last <= gap;
    path += `${joined ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}${joined ? "" : "h0.01"}`;
    last = time;
  }
  return path;
}

/**
 * Lines over the last `span` seconds.
 *
 * A series is [[time, value or null], ...]; a line breaks at a null and where points are further apart than `gap`
 * seconds. `format` writes the values of the scale, `top` fixes its end, and `title` is the text alternative.
 */
export function lineChart(series, { now, span, gap, format, top, title }) {
  const values = series.flat().map(([, value]) => value).filter((value) => value !== null);
  const most = Math.max(0, ...values);
  const end = top ?? (most > 0 ? roundUp(most) : 1);
  const x = (time) => WIDTH * (1 - (now - time) / span);
  const y = (value) => HEIGHT * (1 - Math.min(value, end) / end);
  return el("figure", { class: "chart" },
    el("span", { class: "scale", "aria-hidden": "true" }, format(end)),
    svg("svg", { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img",
                 "aria-label": title },
      [0, 0.5, 1].map((part) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(part * end), y2: y(part * end) })),
      series.map((points, at) => [svg("path", { class: `line line-${at}`, d: pathOf(points, x, y, gap) }),
        svg("path", { class: `line end line-${at}`, d: pathOf(points.slice(-1), x, y, gap) })])),
    el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${Math.round(span / 60)} min ago`),
      el("span", {}, "now")));
}

/** A rate and its interval between 0 and `end`: a line with a dot. */
export function interval({ rate, low, high }, end) {
  const at = (value) => `${2 + (96 * value) / end}%`;
  return svg("svg", { class: "interval", "aria-hidden": "true", width: "100%", height: 16 },
    svg("line", { class: "grid", x1: "2%", x2: "98%", y1: 8, y2: 8 }),
    svg("line", { class: "whisker", x1: at(low), x2: at(high), y1: 8, y2: 8 }),
    svg("circle", { class: "dot", cx: at(rate), cy: 8, r: 5 }));
}
