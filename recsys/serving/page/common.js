// What both pages share: elements without innerHTML, JSON whose integers stay exact, calls to the service, messages.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null));
  return node;
}

/** A new HTML element; strings among the children become text, never markup. */
export const el = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);

/** A new SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Words that may run from right to left, kept apart from the sentence around them. */
export const bdi = (text) => el("bdi", {}, text);

/** What an item is called: its title, or its id where it has none. */
export const nameOf = (item) => item.title || `Item ${item.item ?? item.id}`;

/** A key for maps: the number 7 and the text "7" are two ids. */
export const keyOf = (id) => `${typeof id === "string" ? "text" : "number"} ${id}`;

const formats = new Map();

/** A number as text with up to `digits` significant digits; `options` are those of Intl.NumberFormat. */
export function number(value, digits = 3, options = {}) {
  const name = JSON.stringify([digits, options]);
  if (!formats.has(name)) {
    formats.set(name, new Intl.NumberFormat("en", { maximumSignificantDigits: digits, ...options }));
  }
  return formats.get(name).format(value);
}

/** A count as text, whole. */
export const count = (value) => number(value, 21);

/** A count with its noun: "1 title", "2 titles". */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Seconds as text in the two largest units: "3 h 5 min". */
export function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const words = [];
  let left = Math.floor(seconds);
  for (const [unit, size] of units.slice(first, first + 2)) {
    if (left >= size) words.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return words.join(" ");
}

/** What went wrong, as a problem document says it. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, field = "" }) {
    super(detail || title);
    Object.assign(this, { title, detail, status, field });
  }
}

/** JSON to values. Integers beyond 2^53 become BigInt; a browser that cannot read them exactly refuses them. */
export function fromJson(text) {
  return JSON.parse(text, (key, value, context) => {
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
    if (context) return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
    throw new Problem({ title: "A number too large for this browser",
                        detail: `“${key}” is ${value}, beyond 2^53, which this browser cannot read exactly.` });
  });
}

/** Values to JSON, BigInt as plain integers. */
export const toJson = (value) =>
  JSON.stringify(value, (key, part) => (typeof part === "bigint" ? JSON.rawJSON(String(part)) : part));

/** `bytes` random bytes as hex digits. */
export const randomHex = (bytes) =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function send(method, path, body) {
  const headers = { Accept: "application/json, application/problem+json" };
  const token = sessionStorage.getItem("recsys-token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : toJson(body) });
  return { status: response.status, after: Number(response.headers.get("Retry-After")), text: await response.text() };
}

function problemOf({ status, text }) {
  try {
    const { title, detail, field } = fromJson(text);
    return new Problem({ title: title || `Status ${status}`, detail, status, field });
  } catch {
    return new Problem({ title: `Status ${status}`, detail: "The service answered without saying why.", status });
  }
}

function askToken() {
  return new Promise((done) => {
    const field = el("input", { type: "password", id: "token", autocomplete: "off", required: true });
    const close = (token) => { dialog.close(); dialog.remove(); done(token); };
    const dialog = el("dialog", { "aria-labelledby": "token-title", oncancel: () => close("") },
      el("form", { method: "dialog", onsubmit: () => close(field.value.trim()) },
        el("h2", { id: "token-title" }, "This service wants a token"),
        el("p", {}, "Its operator has set one. It is kept until this tab is closed."),
        el("label", { for: "token" }, "Token"), field,
        el("div", { class: "actions" },
          el("button", { class: "primary" }, "Go on"),
          el("button", { type: "button", onclick: () => close("") }, "Cancel"))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

let asking = null; // calls that are refused together ask once

/**
 * Call the service and return its answer.
 *
 * What may be sent twice without harm is sent again once where the connection breaks or the service is busy: events
 * carry their ids. Where a token is wanted, the visitor is asked. Throws a Problem.
 */
export async function api(method, path, body) {
  const attempt = async () => {
    try {
      return await send(method, path, body);
    } catch {
      return { status: 0, after: 0.3, text: "" };
    }
  };
  let reply = await attempt();
  if ((reply.status === 0 || reply.status === 503) && method !== "DELETE") {
    await wait(Math.min(reply.after || 0.5, 3));
    reply = await attempt();
  }
  while (reply.status === 401) {
    asking ??= askToken().finally(() => { asking = null; });
    const token = await asking;
    if (!token) break;
    sessionStorage.setItem("recsys-token", token);
    reply = await attempt();
  }
  if (reply.status === 0) throw new Problem({ title: "No connection", detail: "The service cannot be reached." });
  if (reply.status >= 400) throw problemOf(reply);
  return reply.text ? fromJson(reply.text) : null;
}

/** What `act` gives, asked again as long as the service is not there or not ready. */
export async function whenReady(act) {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      showProblem(error);
      if (error.status !== 0 && error.status !== 503) throw error;
      await wait(2);
    }
  }
}

/** Say something to screen readers, politely. */
export function announce(text) {
  byId("status").textContent = text;
}

/** Show what went wrong, in words, until it is dismissed or something succeeds. */
export function showProblem(error) {
  if (!(error instanceof Problem)) throw error;
  const { title, detail } = error;
  const words = el("p", {}, el("strong", {}, title), detail && detail !== title ? `: ${detail}` : "");
  if (byId("problem").firstChild?.textContent === words.textContent) return; // said already
  byId("problem").replaceChildren(words,
    el("button", { type: "button", onclick: clearProblem }, "Dismiss"));
}

/** Take the message away. */
export function clearProblem() {
  byId("problem").replaceChildren();
}

/** `act`, with its problems shown. */
export const guarded = (act) => async (...given) => {
  try {
    await act(...given);
  } catch (error) {
    showProblem(error);
  }
};

/** Say in the header which models answer, and for how many titles. */
export function showModels(models, items) {
  const names = models.map(({ name, version }) => `${name} ${version}`).join(" and ");
  byId("model").textContent = `${names} · ${counted(items, "title")}`;
}
