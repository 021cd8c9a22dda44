// The page for a person: what you like, the list that follows from it, and what is kept of you.

import { announce, api, bdi, byId, clearProblem, counted, el, fromJson, guarded, keyOf, nameOf, Problem, randomHex,
         showModels, toJson, whenReady } from "./common.js";
import { combobox } from "./combobox.js";
import { contributionBar, contributionTable, extent, Marks, reasonName } from "./drawing.js";
import { filters } from "./filters.js";
import { firstImages, imageBox } from "./images.js";

const LENGTH = 10;
const IGNORED = ["impression", "view"];
const GROUPS = [ // where the last event on an item puts it, the first group being for all other types
  { title: "", empty: "Nothing yet. What you pick appears here.",
    has: (type) => !["rating", "dislike"].includes(type) },
  { title: "Rated", has: (type) => type === "rating" },
  { title: "Not for you", has: (type) => type === "dislike" },
];

const marks = new Marks();
const rows = new Map(); // key of an item -> its entry in the list
const state = { card: null, me: null, known: false, told: new Map(), chosen: {}, answer: null, turn: 0 };
let inOrder = Promise.resolve();

/** Run what changes something on the service after what was asked for before. */
function inTurn(act) {
  const done = inOrder.then(guarded(act));
  inOrder = done.catch(() => {}); // what fails does not hold up the rest
  return done;
}

// Who somebody is

const integers = () => state.card.user_ids === "integers";
const newcomer = () => (integers() ? 1e12 + Math.floor(Math.random() * 8e15) : `visitor-${randomHex(8)}`);

function storedId() {
  const stored = localStorage.getItem("recsys-me");
  const id = stored && fromJson(stored);
  return id && (typeof id === "string") !== integers() ? id : null; // the model's kind of ids may have changed
}

function ownId() {
  const id = storedId() ?? newcomer();
  localStorage.setItem("recsys-me", toJson(id));
  return id;
}

const isMyself = () => keyOf(state.me) === keyOf(ownId());
const userPath = (id) => `/v1/users/${encodeURIComponent(String(id))}`;

async function become(id) {
  const person = await api("GET", userPath(id));
  Object.assign(state, { me: id, known: person.known_to_model, told: new Map() });
  person.events.forEach(note);
  const trained = person.seen_in_training.length;
  byId("me").textContent = String(id);
  byId("known").textContent = state.known ? `The model has learned from ${counted(trained, "event")} of yours.` :
    "The model has not met you: it answers from what you do here.";
  byId("be-myself").hidden = isMyself();
  showHistory();
  await refresh();
}

function idFrom(text) {
  if (!integers()) return text;
  if (/^-?\d+$/.test(text)) return fromJson(text);
  throw new Problem({ title: "Not an id", detail: `Ids are integers here, and “${text}” is not.` });
}

// What somebody told the service

/** Take an event into what is known of the person. */
function note({ item, title, type, value }) {
  if (IGNORED.includes(type)) return;
  state.told.delete(keyOf(item)); // it goes to the end, where it is not taken back
  if (type !== "undo") state.told.set(keyOf(item), { id: item, title, type, value });
}

/** Send an event, and see what changes. */
function tell(item, type, words) {
  return inTurn(async () => {
    const request = state.answer?.request_id;
    const event = { id: randomHex(16), user: state.me, item: item.id, type, ...(request && { request_id: request }) };
    await api("POST", "/v1/events", { events: [event] });
    note({ item: item.id, title: item.title, type });
    showHistory();
    await refresh(words);
  });
}

const like = (item) => tell(item, "like", `You like ${nameOf(item)}.`);
const dislike = (item) => tell(item, "dislike", `${nameOf(item)} is not for you.`);
const takeBack = (item) => tell(item, "undo", `${nameOf(item)} is taken back.`);

function showHistory() {
  const told = [...state.told.values()];
  marks.keep([...told.filter(({ type }) => type !== "dislike").map(({ id }) => id), ...reasonIds()]);
  const line = (item) => el("li", {},
    item.type === "dislike" ? null : marks.disc(item.id),
    el("span", { class: "name", dir: "auto" }, nameOf(item)),
    item.value != null ? el("small", {}, String(item.value)) : null,
    el("button", { type: "button", class: "quiet", "aria-label": `Take back ${nameOf(item)}`,
                   onclick: () => takeBack(item) }, "✕"));
  const focused = [...byId("history").querySelectorAll("button")].indexOf(document.activeElement);
  byId("history").replaceChildren(...GROUPS.flatMap(({ title, empty, has }) => {
    const items = told.filter(({ type }) => has(type));
    if (!items.length) return empty ? [el("p", { class: "soft" }, empty)] : [];
    return [title ? el("h3", {}, title) : null, el("ul", { class: "told" }, items.map(line))].filter(Boolean);
  }));
  if (focused >= 0) {
    const buttons = byId("history").querySelectorAll("button");
    (buttons[Math.min(focused, buttons.length - 1)] ?? byId("history-title")).focus();
  }
}

// The list

/** Ask for the list again and show it; `words` say to screen readers what it follows from. */
async function refresh(words = "") {
  if (state.me === null) return; // the start will ask
  const mine = ++state.turn;
  const answer = await api("POST", "/v1/recommend", {
    user: state.me, k: LENGTH, explain: true, diversity: Number(byId("diversity").value), where: state.chosen,
    profiling: byId("profiling").checked ? "on" : "off",
  });
  await firstImages(answer.items);
  if (mine !== state.turn) return; // a newer question is on its way
  clearProblem();
  state.answer = answer;
  showModels([answer.model], state.card.items);
  showHistory();
  showList(answer);
  const first = answer.items[0];
  announce(`${words} ${counted(answer.items.length, "title")} in the list.${first ? ` First: ${nameOf(first)}.` : ""}`);
}

const reasonIds = () => (state.answer?.items ?? []).flatMap(({ reasons = [] }) => reasons.map(({ item }) => item))
  .filter((id) => id !== null);

function showList({ items, notes = [] }) {
  const personal = byId("profiling").checked;
  byId("list-title").textContent = personal ? "Recommended for you" : "The list for everybody";
  const explained = items.some(({ reasons }) => reasons?.length);
  byId("list-note").textContent = [hint(items, personal), ...notes].filter(Boolean).join(" ");
  byId("as-table").hidden = !explained;
  byId("numbers").hidden = !explained || byId("as-table").getAttribute("aria-pressed") === "false";
  byId("numbers").lastElementChild.replaceChildren(explained ? contributionTable(items, marks) : "");
  showLegend();
  arrange(items, extent(items.map(({ reasons = [] }) => reasons)));
}

function hint(items, personal) {
  if (!items.length && !state.card.items) return "The catalogue is empty: there is nothing to recommend yet.";
  if (!items.length) return "Nothing is left to recommend. Choose fewer filters, or take something back.";
  if (!personal) return "Made without anything about you. What you click is kept, but not used.";
  if (items.every(({ source }) => source === "popular")) return "These are popular. Like a few titles that you know.";
  if (items.some(({ reasons }) => reasons?.length)) return "The longer a part of a bar, the more that title counts.";
  return "";
}

/** Name the marks that stand for something older than the clicks listed beside. */
function showLegend() {
  const older = new Map();
  for (const reason of (state.answer.items ?? []).flatMap(({ reasons = [] }) => reasons)) {
    if (reason.item !== null && !state.told.has(keyOf(reason.item))) older.set(keyOf(reason.item), reason);
  }
  byId("legend").hidden = !older.size;
  const [summary, list] = byId("legend").children;
  summary.textContent = `The numbers of ${counted(older.size, "title")} from before`;
  list.replaceChildren(...[...older.values()].map((reason) =>
    el("span", {}, marks.disc(reason.item), " ", bdi(nameOf(reason)))));
}

/** Bring the entries into the order of `items`: what stays glides to its place, and keeps the focus. */
function arrange(items, scale) {
  const list = byId("items");
  const held = document.activeElement?.closest("#items > li");
  const place = held && [...list.children].indexOf(held);
  const action = held && [...held.querySelectorAll("button")].indexOf(document.activeElement);
  const before = new Map([...list.children].map((node) => [node, node.getBoundingClientRect().top]));
  const keys = new Set(items.map(({ id }) => keyOf(id)));
  for (const [key, row] of rows) {
    if (keys.has(key)) continue;
    row.node.remove();
    rows.delete(key);
  }
  items.forEach((item, at) => {
    if (!rows.has(keyOf(item.id))) rows.set(keyOf(item.id), entry(item));
    const { node, show } = rows.get(keyOf(item.id));
    if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
    show(item, at + 1, scale);
  });
  if (held && document.activeElement?.closest("#items") === null) {
    const next = held.isConnected ? held : list.children[Math.min(place, list.children.length - 1)];
    (next?.querySelectorAll("button")[action] ?? byId("list-title")).focus({ preventScroll: true });
  }
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) animate(list, before);
}

function animate(list, before) {
  const easing = { duration: 280, easing: "ease-out" };
  for (const node of list.children) {
    if (!before.has(node)) node.animate([{ opacity: 0 }, { opacity: 1 }], easing);
    else {
      const moved = before.get(node) - node.getBoundingClientRect().top;
      if (moved) node.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], easing);
    }
  }
}

/** An entry of the list: its node, and `show`, which brings it up to date. */
function entry(item) {
  const rank = el("span", { class: "rank", "aria-hidden": "true" });
  const badge = el("span");
  const why = el("p", { class: "why" });
  const picture = el("div", { class: "picture" });
  const words = el("ul", { class: "why" });
  const more = el("details", { class: "more", hidden: "", ontoggle: guarded(async () => {
    if (more.open) await explainIn(item, words);
  }) }, el("summary", {}, "What would change it?"), words);
  const button = (text, label, act) => el("button", { type: "button", "aria-label": `${label} ${nameOf(item)}`,
                                                      onclick: act }, text);
  const node = el("li", {}, rank, imageBox(item),
    el("div", { class: "what" },
      el("h3", {}, el("span", { dir: "auto" }, nameOf(item)), " ", badge), why, picture, more),
    el("div", { class: "actions" },
      button("Like", "Like", () => like(item)), button("Not for me", "Not for me:", () => dislike(item)),
      button("Similar", "Similar to", (event) => showSimilar(item, event.currentTarget))));
  const show = ({ source, reasons = [] }, at, scale) => {
    rank.textContent = at;
    badge.className = `badge source-${source}`;
    badge.textContent = source;
    why.replaceChildren(...sentence(reasons));
    picture.replaceChildren(...(reasons.length ? [contributionBar(reasons, marks, scale)] : []));
    more.hidden = !reasons.length;
    if (more.open) explainIn(item, words).catch(showProblem);
  };
  return { node, show };
}

/** The reasons in sentences, and without which titles the item would not be listed. */
async function explainIn(item, words) {
  const { sentences = [] } = await api("POST", "/v1/explain", { user: state.me, item: item.id, removed: 3 });
  const lines = sentences.length ? sentences : ["No single title counts for a twentieth of the score."];
  words.replaceChildren(...lines.map((line) => el("li", { dir: "auto" }, line)));
}

/** "because of A and B": the two parts that add most. */
function sentence(reasons) {
  const adding = reasons.filter(({ contribution }) => contribution > 0).sort((a, b) => b.contribution - a.contribution);
  const [first, second] = adding.map((reason) => [reason.item === null ? "" : marks.disc(reason.item), " ",
                                                  bdi(reasonName(reason))]);
  if (!first) return [];
  return ["because of ", ...first, ...(second ? [" and ", ...second] : [])];
}

// Similar titles

let opener = null;

const showSimilar = guarded(async (item, from) => {
  const { items } = await api("POST", "/v1/similar", { item: item.id, k: LENGTH });
  opener = from;
  byId("similar-title").replaceChildren("Similar to ", bdi(nameOf(item)));
  byId("similar").querySelector("ul").replaceChildren(...(items.length ? items.map((one) => el("li", {}, imageBox(one),
    el("span", { class: "name", dir: "auto" }, nameOf(one)),
    likeButton(one))) :
    [el("li", {}, "Nothing is known to be like it.")]));
  byId("similar").hidden = false;
  byId("similar-title").focus();
});

/** A button that likes an item, and takes it back. */
function likeButton(item) {
  const liked = () => state.told.has(keyOf(item.id)) && state.told.get(keyOf(item.id)).type !== "dislike";
  const show = () => {
    button.textContent = liked() ? "Liked" : "Like";
    button.setAttribute("aria-pressed", String(liked()));
  };
  const button = el("button", { type: "button", "aria-label": `Like ${nameOf(item)}`, onclick: async () => {
    await (liked() ? takeBack(item) : like(item));
    show();
  } });
  show();
  return button;
}

function closeSimilar() {
  byId("similar").hidden = true;
  (opener?.isConnected ? opener : byId("list-title")).focus();
}

// What is kept, and forgetting it

const moment = (seconds) => new Date(1000 * seconds).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

const showKept = () => inTurn(async () => {
  const { user, events, seen_in_training: seen, shown, vectors } = await api("GET", userPath(state.me));
  const table = el("table", {},
    el("thead", {}, el("tr", {}, ["When", "What", "Title"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, events.toReversed().map((event) => el("tr", {}, el("td", {}, moment(event.time)),
      el("td", {}, event.value === null ? event.type : `${event.type} ${event.value}`),
      el("td", { dir: "auto" }, nameOf(event))))));
  byId("kept").querySelector(".body").replaceChildren(
    el("p", {}, "Your id here is ", el("strong", {}, String(user)), "."),
    el("h3", {}, counted(events.length, "event")), ...(events.length ? [el("div", { class: "scroll" }, table)] : []),
    el("h3", {}, `${counted(shown.length, "list")} you were shown`),
    el("h3", {}, seen.length ? `${counted(seen.length, "title")} the model has learned from` :
      "Nothing the model has learned from"),
    ...(seen.length ? [el("details", {}, el("summary", {}, "Which"),
      el("ul", {}, seen.map((item) => el("li", { dir: "auto" }, nameOf(item)))))] : []),
    el("p", {}, vectors ? "The model keeps a vector of numbers for you." : "The model keeps no numbers for you."));
  byId("kept").showModal();
});

const askForget = () => inTurn(() => {
  byId("forget-title").textContent = `Forget ${state.me}?`;
  byId("forget").querySelector(".body").replaceChildren(
    el("p", {}, isMyself() ?
      "Your events, the lists you were shown and what the model keeps of you are erased, for good. " +
      "Afterwards you are somebody new." :
      "The events of this user, the lists they were shown and what the model keeps of them are erased, for good."));
  byId("forget-yes").hidden = false;
  byId("forget-close").textContent = "Cancel";
  byId("forget").showModal();
});

function forget() {
  return inTurn(async () => {
    byId("forget-yes").disabled = true;
    try {
      const { erased, time, receipt, says, digest } = await api("DELETE", userPath(state.me));
      if (isMyself()) localStorage.removeItem("recsys-me");
      byId("forget-title").textContent = "Forgotten";
      const models = erased.models.filter(({ before, after }) => before !== after);
      byId("forget").querySelector(".body").replaceChildren(
        el("p", {}, `Erased on ${moment(time)}: ${counted(erased.events, "event")}, ` +
          `${counted(erased.shown, "list")} shown` +
          `${models.length ? `, and what ${counted(models.length, "model")} kept of them` : ""}.`),
        el("p", {}, says),
        el("dl", {}, el("dt", {}, "Receipt"), el("dd", { class: "code" }, receipt),
          el("dt", {}, "Digest"), el("dd", { class: "code" }, digest), models.map(({ variant, before, after }) => [
            el("dt", {}, `Model “${variant}”`), el("dd", { class: "code" }, `${before} → ${after}`)])));
      byId("forget-yes").hidden = true;
      byId("forget-close").textContent = "Close";
      byId("forget-close").focus();
      announce(`Forgotten. ${counted(erased.events, "event")} erased.`);
    } catch (error) {
      byId("forget").close();
      throw error;
    } finally {
      byId("forget-yes").disabled = false;
    }
    await become(ownId());
  });
}

// Start

let slide = 0;

function listen() {
  combobox(byId("search"), byId("found"), like);
  byId("profiling").addEventListener("change", () => {
    localStorage.setItem("recsys-profiling", byId("profiling").checked ? "on" : "off");
    guarded(refresh)();
  });
  byId("diversity").addEventListener("input", (event) => {
    const words = `${Math.round(100 * event.target.value)} %`;
    event.target.setAttribute("aria-valuetext", words);
    byId("variety").textContent = words;
    clearTimeout(slide);
    slide = setTimeout(guarded(() => refresh()), 120);
  });
  byId("as-table").addEventListener("click", ({ currentTarget: button }) => {
    const pressed = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(pressed));
    byId("numbers").hidden = !pressed;
  });
  byId("similar-close").addEventListener("click", closeSimilar);
  byId("similar").addEventListener("keydown", (event) => event.key === "Escape" && closeSimilar());
  byId("show-kept").addEventListener("click", showKept);
  byId("show-forget").addEventListener("click", askForget);
  byId("forget-yes").addEventListener("click", forget);
  byId("be").addEventListener("submit", (event) => {
    event.preventDefault();
    inTurn(() => become(idFrom(byId("other").value.trim())));
  });
  byId("be-myself").addEventListener("click", () => inTurn(() => become(ownId())));
}

async function start() {
  state.card = await whenReady(() => api("GET", "/v1/model"));
  filters(byId("filters"), await api("GET", "/v1/attributes"), (chosen) => {
    state.chosen = chosen;
    guarded(refresh)();
  });
  await become(ownId());
}

byId("profiling").checked = localStorage.getItem("recsys-profiling") !== "off";
listen();
inTurn(start); // whatever is clicked meanwhile waits for it
