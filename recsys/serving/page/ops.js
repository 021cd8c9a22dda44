// The page for the operator: what the service measures of itself, every two seconds, drawn over the last five minutes.

import { announce, api, byId, clearProblem, count, counted, duration, el, guarded, number, Problem, showModels,
         showProblem } from "./common.js";
import { interval, lineChart } from "./drawing.js";

const EVERY = 2; // seconds between two questions
const SPAN = 300; // seconds that are drawn
const WINDOW = 10; // seconds that rates and percentiles are taken over
const GAP = 10; // seconds after which a line breaks
const OWN = /\/v1\/stats$|\/healthz$|\/readyz$|\/metrics$|\/ops$|\/page\//; // what watching causes by itself
const SOURCES = ["model", "history", "content", "popular"];

let samples = []; // the last answers of /v1/stats
let paused = false;
let failing = false;
let running = "";

// From totals to rates

/** The answer that `at` is compared with: the oldest of the window before it, or null. */
function baseOf(at) {
  const start = samples[at].time - WINDOW - 0.5;
  let base = null;
  for (let before = at - 1; before >= 0 && samples[before].time >= start; before -= 1) {
    if (samples[before + 1].time - samples[before].time > GAP) break;
    base = samples[before];
  }
  return base;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const asked = ({ requests }) => sum(Object.entries(requests).filter(([route]) => !OWN.test(route)).map(([, n]) => n));

const requestRate = (now, base) => (asked(now) - asked(base)) / (now.time - base.time);
const eventRate = (now, base) => (60 * (now.events.total - base.events.total)) / (now.time - base.time);

function sourceShare(source) {
  return (now, base) => {
    const fresh = SOURCES.map((name) => (now.sources[name] ?? 0) - (base.sources[name] ?? 0));
    const total = sum(fresh);
    return total > 0 ? fresh[SOURCES.indexOf(source)] / total : null;
  };
}

/** A percentile of what was answered between two samples, from the buckets, linear within one: seconds, or null. */
function latency(share) {
  return (now, base) => {
    const before = new Map(base.latency.buckets.map(([upper, n]) => [upper, n]));
    const buckets = now.latency.buckets.map(([upper, n]) => [upper, n - (before.get(upper) ?? 0)]);
    const total = buckets.at(-1)?.[1] ?? 0;
    if (total <= 0) return null;
    let [lower, below] = [0, 0];
    for (const [upper, n] of buckets) {
      if (n >= share * total) {
        return Number.isFinite(upper) ? lower + ((upper - lower) * (share * total - below)) / (n - below) : lower;
      }
      [lower, below] = [upper, n];
    }
    return lower;
  };
}

/** A measure of every sample against the one before it: [[time, value or null], ...]. */
function over(measure) {
  return samples.map((now, at) => {
    const base = baseOf(at);
    return [now.time, base && measure(now, base)];
  });
}

/** A measure of every sample by itself. */
const each = (measure) => samples.map((now) => [now.time, measure(now)]);

const latest = (points) => points.at(-1)?.[1] ?? null;

// The tiles

const milliseconds = (seconds) => `${number(1000 * seconds)}\u00a0ms`;
const percent = (share) => `${number(100 * share)}\u00a0%`;
const plain = (value) => number(value);

/** The tiles: what each is called, its lines, how its values are written, and what it says where there is none. */
function tiles() {
  const now = samples.at(-1);
  return [
    { name: "Requests a second", format: plain, none: "No requests yet.", note: `queue ${count(now.queue)}`,
      lines: [["", over(requestRate)]] },
    { name: "Latency", format: milliseconds, none: `No answers in the last ${WINDOW} seconds.`,
      lines: [["median", over(latency(0.5))], ["99th percentile", over(latency(0.99))]] },
    { name: "Where answers come from", format: percent, top: 1, none: `No lists in the last ${WINDOW} seconds.`,
      lines: SOURCES.map((source) => [source, over(sourceShare(source))]) },
    { name: "Events a minute", format: plain, none: "No events yet.", note: `${count(now.events.total)} in all`,
      lines: [["", over(eventRate)]] },
    { name: "Catalogue shown", format: percent, none: "The catalogue is empty.",
      note: `${count(now.coverage.shown)} of ${counted(now.coverage.items, "title")} since the start`,
      lines: [["", each(({ coverage }) => (coverage.items ? coverage.shown / coverage.items : null))]] },
    { name: "Drift of popularity", format: plain, top: 1, none: "Too few events to compare with the training.",
      note: now.drift ? `distance from the training, 0 to 1, last ${counted(now.drift.events, "event")}` : "",
      lines: [["", each(({ drift }) => drift && drift.value)]] },
  ];
}

function summary({ name, format, lines }) {
  const parts = lines.map(([line, points]) => {
    const values = points.map(([, value]) => value).filter((value) => value !== null);
    const last = latest(points);
    return `${line ? `${line}: ` : ""}now ${last === null ? "nothing" : format(last)}` +
      `${values.length ? `, highest ${format(Math.max(...values))}` : ""}`;
  });
  return `${name} over the last ${SPAN / 60} minutes. ${parts.join("; ")}.`;
}

function tile(given) {
  const { name, format, top, none, note, lines } = given;
  const known = lines.some(([, points]) => latest(points) !== null);
  const value = ([line, points], at) => el("div", { class: lines.length > 1 ? "value" : "value alone" },
    line ? el("dt", {}, el("span", { class: `key line-${at}`, "aria-hidden": "true" }), line) :
      el("dt", { class: "unseen" }, name),
    el("dd", {}, latest(points) === null ? "–" : format(latest(points))));
  return el("section", { class: "tile", "aria-label": name },
    el("h2", {}, name),
    el("dl", { class: lines.length > 2 ? "values small" : "values" }, lines.map(value)),
    el("p", { class: "soft" }, known ? note ?? "" : none),
    lineChart(lines.map(([, points]) => points),
              { now: samples.at(-1).time, span: SPAN, gap: GAP, format, top, title: summary(given) }));
}

// The tables

function table(heads, lines, none) {
  if (!lines.length) return el("p", { class: "soft" }, none);
  return el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, lines.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first),
      rest.map((cell) => el("td", {}, cell))))));
}

const counts = (heads, given, none) => table(heads, Object.entries(given).filter(([name]) => !OWN.test(name))
  .sort(([, a], [, b]) => b - a).map(([name, n]) => [name, count(n)]), none);

function experiments(rows) {
  const end = Math.max(0, ...rows.map(({ high }) => high)) || 1;
  const cells = (row) => [row.variant, count(row.people), count(row.lists), percent(row.rate),
                          `${percent(row.low)} to ${percent(row.high)}`, interval(row, end)];
  return table(["Variant", "People", "Lists", "Rate", "Interval", ""], rows.map(cells),
               "No experiment is running, or nothing was shown yet.");
}

function draw() {
  const now = samples.at(-1);
  byId("state").textContent = `Up ${duration(now.uptime)} · ${counted(now.workers, "worker")} · at ` +
    new Date(1000 * now.time).toLocaleTimeString("en", { hour12: false });
  byId("tiles").replaceChildren(...tiles().map(tile));
  byId("models").replaceChildren(table(["Variant", "Model", "Version", "Age"],
    now.models.map(({ variant, name, version, age }) => [variant, name, el("code", {}, version), duration(age)]),
    "No model is loaded."));
  byId("experiments").replaceChildren(experiments(now.experiments));
  byId("routes").replaceChildren(counts(["Route", "Requests"], now.requests, "No requests yet."));
  byId("statuses").replaceChildren(counts(["Status", "Answers"], now.statuses, "No answers yet."));
  byId("events").replaceChildren(counts(["Type", "Events"], now.events.by_type, "No events yet."));
}

// Asking

async function ask() {
  const now = await api("GET", "/v1/stats");
  if (samples.length && asked(now) < asked(samples.at(-1))) samples = []; // started again: so did its totals
  samples = [...samples.filter(({ time }) => time > now.time - SPAN - WINDOW && time < now.time), now];
  const versions = now.models.map(({ version }) => version).join(" ");
  if (versions !== running) {
    const { variants, items } = await api("GET", "/v1/model");
    showModels(variants, items);
    if (running) announce("Another version of a model answers now.");
    running = versions;
  }
  draw();
}

async function tick() {
  if (!paused && !document.hidden) {
    try {
      await ask();
      if (failing) {
        clearProblem();
        announce("The service answers again.");
      }
      failing = false;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (!failing) showProblem(error); // said once
      failing = true;
    }
  }
  setTimeout(tick, 1000 * EVERY);
}

byId("pause").addEventListener("click", ({ currentTarget: button }) => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Paused" : "Pause";
});
document.addEventListener("visibilitychange", guarded(async () => {
  if (!document.hidden && !paused) await ask();
}));

tick();
