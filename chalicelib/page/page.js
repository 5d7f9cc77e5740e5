"use strict";
// Shows state.json, and asks again: every three seconds while a deploy runs, else every ten.
// Commit subjects, host output and names are hostile: all of it is set as text, never as HTML.

const LIVE = 3000, AT_REST = 10000, SLOWEST = 60000, MOST_FAILURES = 20, MOST_CELLS = 120, MOST_REASONS = 4;
// What a server names (targets, commits, states) is looked up in Maps: an object knows "constructor".
const GLYPHS = new Map(Object.entries({
  "at it": ["✓", "at the wanted commit"],
  running: ["▸", "running the script now"],
  waiting: ["·", "its turn has not come"],
  behind: ["↓", "at another commit, and due"],
  failed: ["✕", "its last run failed"],
  parked: ["‖", "failed too often: needs a person"],
  drifted: ["≠", "somebody moved the checkout"],
  asleep: ["z", "offline"],
  old: ["…", "not heard of for too long"],
  unknown: ["?", "never heard of"],
  replaced: ["»", "a deploy that a newer one replaced"],
  "": ["–", "no commit is wanted"],
}));
const ORDER = ["failed", "parked", "drifted", "behind", "running", "waiting", "unknown", "old", "asleep", "at it", ""];
const DOES = new Map(Object.entries({
  send: (one, hosts) => `The next round sends ${one.commit.slice(0, 7)} to ${hosts}`,
  later: (one, hosts) => `A later round sends ${one.commit.slice(0, 7)} to ${hosts}`,
  recheck: (one, hosts) => `The next round looks again at ${hosts}`,
  wait: (one, hosts) => `Nothing yet for ${hosts}`,
  parked: (one, hosts) => `No round sends anything more to ${hosts}`,
}));
const OUTCOMES = new Map(Object.entries({ success: "at it", in_progress: "running", pending: "running", queued: "waiting", inactive: "replaced" }));
const TROUBLES = ["failed", "parked", "drifted"];
const byId = (id) => document.getElementById(id);
const embedded = (id) => { const found = byId(id); return found ? JSON.parse(found.textContent) : null; };
const SNAPSHOT = embedded("state"), PAST = embedded("history");

const histories = new Map(Object.entries(PAST || {})), asked = new Map();
let state = null, timer = 0, asking = false, failures = 0, sorry = [];

/** An element with text or elements in it. No attribute here takes HTML or script. */
function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value) made.setAttribute(name, value);
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

/** A link, or only its words if the address is not plain http. */
function link(address, words, attributes = {}) {
  const isPlain = /^https?:\/\//.test(address);
  return isPlain ? make("a", { href: address, rel: "noreferrer", ...attributes }, words) : make("span", attributes, words);
}

const subjectOf = (target, sha) => (Object.hasOwn(target.subjects, sha) ? target.subjects[sha] : "");

function commit(target, sha) {
  if (!sha) return make("span", { class: "commit faint" }, "unknown");
  const words = sha.slice(0, 7), subject = subjectOf(target, sha);
  const address = state.github && /^[0-9a-f]{40}$/.test(sha) ? `${state.github}/${target.repository}/commit/${sha}` : "";
  return link(address, words, { class: "commit", title: subject });
}

function compare(target, from, to) {
  if (!state.github || !from || !to || from === to || !/^[0-9a-f]{80}$/.test(from + to)) return null;
  return link(`${state.github}/${target.repository}/compare/${from}...${to}`, `changes since ${from.slice(0, 7)}`);
}

function console_(id) {
  const isId = /^[0-9a-f-]{36}$/.test(id || "") && /^[a-z0-9-]+$/.test(state.region || "");
  const place = `https://${state.region}.console.aws.amazon.com/systems-manager/run-command/${id}?region=${state.region}`;
  return isId ? link(place, "AWS console") : null;
}

const many = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const apart = (text) => make("bdi", {}, text);
const parts = (...all) => all.filter(Boolean).flatMap((one, at) => [at ? " · " : "", typeof one === "string" ? apart(one) : one]);

function length(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

function ago(at) {
  if (!at) return "";
  const seconds = Math.max(0, (Date.parse(state.at) - Date.parse(at)) / 1000);
  const words = seconds < 5 ? "just now" : seconds < 10 ? `${Math.round(seconds)} s ago` : `${length(Math.round(seconds))} ago`;
  return make("time", { datetime: at, title: at }, words);
}

function until(at) {
  return make("time", { datetime: at }, `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`);
}

const isBusy = (target) =>
  target.hosts.some((one) => one.online && (one.state === "running" || one.state === "waiting")) ||
  Boolean(target.newest && target.newest.state === "in_progress");
const troubled = (target) => target.hosts.filter((one) => TROUBLES.includes(one.state));
const away = (target) => target.hosts.filter((one) => one.state === "asleep");
const missed = (target) => away(target).filter((one) => one.there === false);
const kindOf = (target) => {
  if (isBusy(target)) return "busy";
  if (troubled(target).length || !target.hosts.length) return "bad";
  if (!target.well || target.held || target.hosts.some((one) => one.there === false) || (target.pinned && target.pinned.state === "frozen")) return "held";
  return "good";
};
const RANK = ["bad", "busy", "held", "good"];

function verdictOf(target) {
  const all = target.hosts.length, bad = troubled(target), at = target.hosts.filter((one) => one.there).length;
  if (!all) return "no hosts";
  if (isBusy(target)) return `deploying: ${at} of ${all} done`;
  if (bad.length) return `${bad[0].state} on ${bad.length === all ? many(all, "host") : `${bad.length} of ${many(all, "host")}`}`;
  if (target.pinned && target.pinned.state === "frozen") return "frozen";
  const off = away(target).length, late = missed(target);
  const on = target.wanted ? `on ${target.wanted.commit.slice(0, 7)}` : "at the wanted commit";
  return `${at} of ${many(all, "host")} ${on}${late.length ? `, ${names(late)} ${late.length === 1 ? "is" : "are"} offline` : off ? `, ${off} offline` : ""}`;
}

/** Hosts with the same words, the largest group first. */
function groups(hosts, words) {
  const found = new Map();
  for (const one of hosts) {
    const key = words(one);
    found.set(key, [...(found.get(key) || []), one]);
  }
  return [...found].sort((one, other) => other[1].length - one[1].length);
}

function names(hosts) {
  const shown = hosts.slice(0, 3).map((one) => one.host.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")).join(", ");
  return hosts.length > 3 ? `${shown} and ${hosts.length - 3} more` : shown;
}

function strip(target) {
  const counts = groups(target.hosts, (one) => one.state || "not asked for");
  const words = counts.map(([is, of]) => `${of.length} ${is}`).join(", ");
  const hosts = [...target.hosts].sort((one, other) => ORDER.indexOf(one.state || "") - ORDER.indexOf(other.state || ""));
  const cells = hosts.map((one) => cell(one.state, `${one.host}: ${one.state || "no commit is wanted"}`));
  const isLong = hosts.length > MOST_CELLS;
  return make("div", { class: isLong ? "strip many" : "strip", role: "img", "aria-label": `${many(hosts.length, "host")}: ${words}` }, cells);
}

function cell(is, title) {
  return make("span", { class: "cell", "data-is": is || "none", title, "aria-hidden": "true" }, (GLYPHS.get(is || "") || ["–"])[0]);
}

function why(target) {
  const bad = troubled(target);
  if (!bad.length) return null;
  const words = (one) => (one.state === "drifted" ? "drifted: somebody moved the checkout by hand" : one.last || one.state);
  const found = groups(bad, words);
  const rows = found.slice(0, MOST_REASONS).map(([said, hosts]) => make("li", {}, make("b", {}, names(hosts)), " ", apart(said)));
  if (found.length > MOST_REASONS) rows.push(make("li", {}, `and ${found.length - MOST_REASONS} other reasons`));
  return make("ul", { class: "why" }, rows);
}

function next(target) {
  const waiting = target.waiting, open = waiting && waiting.gates.every((one) => one.state === "open");
  if (!target.held && open && waiting.gates.length) return `The next round sends ${waiting.commit.slice(0, 7)}: all gates are open.`;
  const first = target.held || (waiting && !open && `${waiting.commit.slice(0, 7)} goes out when every gate above is open.`);
  const rest = target.next.filter((one) => one.reason !== target.held).slice(0, MOST_REASONS).map((one) => {
    const hosts = many(one.hosts, "host"), does = DOES.get(one.action) || (() => `${one.action} for ${hosts}`);
    return [does(one, hosts), ": ", apart(one.reason), "."];
  });
  if (!rest.length) return first || (target.hosts.length ? "Nothing: there is nothing to do." : "Nothing: the target has no hosts.");
  return make("ul", {}, (first ? [first, ...rest] : rest).map((one) => make("li", {}, one)));
}

function gates(target) {
  const waiting = target.waiting;
  if (!waiting || !waiting.gates.length) return null;
  const rows = waiting.gates.map((one) => make("li", {}, one.reason
    ? [make("b", {}, one.reason), " ", make("span", { class: "faint" }, `(gate “${one.name}”, ${one.state})`)] : make("b", {}, `gate “${one.name}” is ${one.state}`)));
  return [make("dt", {}, "Waiting"), make("dd", {}, commit(target, waiting.commit), " ", apart(subjectOf(target, waiting.commit) || waiting.tag), make("ul", {}, rows))];
}

function lastDeploy(target) {
  const newest = target.newest, wanted = target.wanted && target.wanted.commit;
  if (!newest) return "nothing was sent in the last 30 days";
  const who = newest.by ? `by ${newest.by}` : "";
  return parts(newest.state.replace("_", " "), ago(newest.at), `${newest.cause} ${who}`.trim(),
    newest.seconds !== null && `took ${length(newest.seconds)}`, newest.commit !== wanted && commit(target, newest.commit), console_(newest.command_id));
}

function card(target, isWhole) {
  const kind = kindOf(target), pinned = target.pinned, wanted = target.wanted && target.wanted.commit;
  const heading = make("h2", {}, isWhole ? target.target : make("a", { href: `#${encodeURIComponent(target.target)}`, id: `to-${target.target}` }, target.target));
  const others = target.hosts.filter((one) => one.commit && wanted && !one.there && !one.local_commits).map((one) => one.commit);
  const aside = target.hosts.filter((one) => one.set_aside).slice(0, MOST_REASONS);
  const facts = [
    ...(pinned ? [make("dt", {}, pinned.state), make("dd", {}, parts(pinned.reason || "no reason is given",
      pinned.by && `by ${pinned.by}`, pinned.until && make("span", {}, "until ", until(pinned.until))))] : []),
    ...(gates(target) || []),
    ...(aside.length ? [make("dt", {}, "Set aside"), make("dd", {}, make("ul", {}, aside.map((one) => make("li", {}, apart(one.set_aside), " on ", apart(one.host)))))] : []),
    make("dt", {}, "Next"), make("dd", {}, next(target)),
    make("dt", {}, "Last deploy"), make("dd", {}, lastDeploy(target)),
  ];
  return make("article", { class: kind, id: `target-${target.target}` },
    make("div", { class: "top" }, heading, make("span", { class: "is" }, isWhole ? make("a", { href: "#", id: "back" }, "← all targets") : verdictOf(target))),
    make("p", { class: "faint" }, parts(target.repository, target.branch ? `branch ${target.branch}` : `tag ${target.tag}`,
      target.environment !== target.target && `environment ${target.environment}`,
      target.url && link(target.url, target.url.replace(/^https?:\/\//, "")))),
    make("p", { class: "subject" }, wanted ? parts(make("span", {}, "wants ", commit(target, wanted)),
      subjectOf(target, wanted), compare(target, others[0], wanted)) : "no commit is wanted"),
    strip(target), isWhole && troubled(target).length === 1 ? null : why(target), make("dl", {}, facts), isWhole ? details(target) : null);
}

function details(target) {
  const hosts = [...target.hosts].sort((one, other) => ORDER.indexOf(one.state || "") - ORDER.indexOf(other.state || "") || one.host.localeCompare(other.host));
  return [
    make("h3", {}, "Hosts"), make("ul", { class: "hosts" }, hosts.map((one) => hostRow(target, one))),
    make("h3", {}, "Deploys of the last 30 days"), past(target),
  ];
}

function hostRow(target, one) {
  const aside = parts(one.local_commits && `${many(one.local_commits, "commit")} made on this host`, one.set_aside && `set aside: ${one.set_aside}`,
    !one.local_commits && (one.state === "failed" || one.state === "drifted") ? compare(target, one.commit, one.wanted) : null, one.state === "failed" && console_(one.command_id));
  return make("li", {}, cell(one.state, ""),
    make("span", { class: "name" }, one.host, one.host === one.instance_id ? null : make("span", { class: "faint" }, one.instance_id)),
    one.local_commits ? make("span", { class: "commit", title: "with commits of its own" }, (one.commit || "").slice(0, 7)) : commit(target, one.commit),
    make("span", { class: "seen faint" }, one.seen ? ["seen ", ago(one.seen)] : "never seen"),
    make("span", { class: "words" }, told(one)),
    aside.length ? make("span", { class: "wide faint" }, aside) : null,
    one.output ? make("details", { class: "wide", id: `output-${target.target}-${one.instance_id}` }, make("summary", { id: `show-${one.instance_id}` }, "The end of its output"),
      make("pre", { tabindex: "0" }, one.output)) : null);
}

/** A host's state, and what its last run said; once, if both begin with the same word. */
function told(one) {
  const state = one.state || "no commit is wanted", last = one.last || "";
  if (state === "at it" && last) return [last];
  const rest = last.startsWith(state) ? last.slice(state.length) : last && `: ${last}`;
  return [make("b", { class: TROUBLES.includes(state) ? "trouble" : "" }, state), rest];
}

function past(target) {
  const entries = histories.get(target.target);
  if (!entries) return make("p", { class: "faint" }, "Asking AWS …");
  if (typeof entries === "string") return make("p", {}, entries);
  const deploys = entries.filter((one) => one.kind === "command");
  if (!deploys.length) return make("p", { class: "faint" }, "Nothing was sent.");
  const rows = deploys.slice(0, 50).map((one) => make("li", {}, cell(OUTCOMES.get(one.state) || "failed", one.state === "inactive" ? "replaced by a newer one" : one.state), ago(one.at), commit(target, one.commit),
    make("span", { class: "subject faint" }, apart(one.subject || subjectOf(target, one.commit)),
      make("div", {}, parts(`${one.cause} ${one.by ? `by ${one.by}` : ""}`.trim(), one.seconds !== null && `took ${length(one.seconds)}`, console_(one.command_id)))),
    make("span", { class: "words" }, make("b", {}, one.state.replace("_", " ")), `: ${one.description}`)));
  return [
    make("div", { class: "charts" },
      chart("How long each deploy took", deploys, (one) => one.seconds),
      chart("From the push to the last host", deploys, (one) => one.seconds_since_push)),
    make("ul", { class: "deploys" }, rows),
  ];
}

/** Deploys over 30 days; the height is the logarithm of the seconds. The list below says the same. */
function chart(title, deploys, secondsOf) {
  const shown = deploys.filter((one) => secondsOf(one) > 0);
  const figure = make("figure", {}, make("figcaption", { class: "faint" }, shown.length ? title : `${title}: nothing to show`));
  figure.setAttribute("class", "chart");
  if (!shown.length) return figure;
  const wide = Math.max(260, Math.min(byId("main").clientWidth - 40, 620)), high = 150, left = 44, below = 20;
  const end = Date.parse(state.at), start = end - 30 * 86400000;
  const most = Math.max(10, ...shown.map(secondsOf)), least = 0.5;
  const x = (at) => left + ((Date.parse(at) - start) / (end - start)) * (wide - left - 12);
  const y = (seconds) => high - below - (Math.log(Math.max(seconds, least) / least) / Math.log(most / least)) * (high - below - 12);
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    made.append(...children);
    return made;
  };
  const drawn = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `${title}: ${many(shown.length, "deploy")}, the newest ${length(secondsOf(shown[0]))}` });
  for (const seconds of [1, 10, 60, 600, 3600].filter((one) => one <= most)) {
    drawn.append(svg("line", { class: "axis", x1: left, x2: wide - 12, y1: y(seconds), y2: y(seconds) }),
      svg("text", { x: left - 8, y: y(seconds) + 4, "text-anchor": "end" }, length(seconds).replace(".0", "")));
  }
  drawn.append(svg("line", { class: "axis", x1: left, x2: wide - 12, y1: high - below, y2: high - below }),
    svg("text", { x: left, y: high - 4 }, "30 days ago"), svg("text", { x: wide - 12, y: high - 4, "text-anchor": "end" }, "now"));
  for (const one of shown) {
    const at = x(one.at), seconds = y(secondsOf(one)), words = `${one.at}: ${one.state}, ${length(secondsOf(one))}`;
    const kind = one.state === "success" ? "good" : one.state === "failure" || one.state === "error" ? "bad" : "busy";
    const shape = kind === "bad" ? { d: `M${at - 5} ${seconds - 5}l10 10m0 -10l-10 10` } : { d: `M${at - 4} ${seconds}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0` };
    drawn.append(svg("path", { class: kind, ...shape }, svg("title", {}, words)));
  }
  figure.append(drawn);
  return figure;
}

function chosen() {
  try {
    const name = decodeURIComponent(location.hash.slice(1));
    return state.targets.find((one) => one.target === name);
  } catch { return undefined; }
}

function show() {
  const target = chosen();
  const sorted = [...state.targets].sort((one, other) => RANK.indexOf(kindOf(one)) - RANK.indexOf(kindOf(other)) || one.target.localeCompare(other.target));
  const focused = document.activeElement && document.activeElement.id;
  const opened = [...document.querySelectorAll("details[open]")].map((one) => one.id);
  const place = byId("targets");
  place.className = target ? "one" : "";
  place.replaceChildren(...(target ? [card(target, true)] : sorted.map((one) => card(one, false))));
  opened.forEach((id) => byId(id) && byId(id).setAttribute("open", ""));
  if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
  const bad = sorted.filter((one) => kindOf(one) === "bad"), busy = sorted.filter(isBusy), late = sorted.filter((one) => kindOf(one) === "held" && !one.well);
  const off = sorted.flatMap(away).length;
  const verdict = target ? `${target.target}: ${verdictOf(target)}` : bad.length === 1 ? `${bad[0].target}: ${verdictOf(bad[0])}` : bad.length ? `${names(bad.map((one) => ({ host: one.target })))} need a look`
    : state.failed.length && !target ? `${many(state.failed.length, "target")} could not be read` : busy.length ? `${names(busy.map((one) => ({ host: one.target })))}: a deploy is running` : late.length ? `${many(late.length, "target")} of ${sorted.length} not in step yet`
      : sorted.some((one) => missed(one).length) ? `Every host online is where it should be, ${off} offline` : sorted.length ? "Every host is where it should be" : "No targets are stored yet";
  if (byId("verdict").textContent !== verdict) byId("verdict").textContent = verdict;
  byId("verdict").className = (target ? kindOf(target) === "bad" : bad.length || state.failed.length) ? "bad" : "";
  document.title = `${bad.length ? "✕ " : busy.length ? "▸ " : ""}${state.stage} · Pulley`;
  byId("stage").textContent = `· stage ${state.stage}${state.region ? `, ${state.region}` : ""}`;
  byId("asked").textContent = `${SNAPSHOT ? "snapshot" : "as"} of ${state.at.replace("T", " ").replace("Z", " UTC")}`;
  trouble();
  byId("about").hidden = false;
}

function trouble() {
  const all = [...sorry, ...(state ? [...state.failed.map((one) => `${one.target} cannot be read: ${one.reason}`), ...state.problems.map((one) => `not a valid target: ${one}`)] : [])];
  const place = byId("trouble");
  place.hidden = !all.length;
  if (place.textContent !== all.join("")) place.replaceChildren(...all.map((one) => make("div", {}, one)));
}

async function read(address, gone) {
  const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
  if (answer.status === 404) throw new Error(gone);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `the answer was ${answer.status}`);
  return body;
}

/** Asks for the past of the target that is shown: once for each deploy, and again if that failed. */
async function askHistory() {
  const target = chosen();
  if (!target) return;
  const name = target.target, newest = target.newest || {}, key = `${newest.command_id} ${newest.state} ${newest.ended}`;
  const before = asked.get(name), failed = before && before.key === key ? before.failed : -1;
  if (failed === 0 || failed >= MOST_FAILURES) return;
  asked.set(name, { key, failed: 0 });
  try {
    histories.set(name, (await read(`history.json?target=${encodeURIComponent(name)}`, "not found")).entries);
  } catch (error) {
    histories.set(name, `The past cannot be read: ${error.message}`);
    asked.set(name, { key, failed: Math.max(failed, 0) + 1 });
  }
  show();
}

async function ask() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    state = await read("state.json", "You are not signed in any more: run pulley open --hosted again.");
    sorry = [];
    show();
    failures = 0;
    askHistory();
  } catch (error) {
    failures += 1;
    sorry = [`${state ? "This is not new any more. " : ""}${error.message}`];
    if (failures >= MOST_FAILURES) sorry.push("The page has stopped asking. Reload it to start again.");
    trouble();
    if (!state) byId("verdict").textContent = "Nothing can be shown";
  }
  asking = false;
  const pause = (state && state.targets.some(isBusy) ? LIVE : AT_REST) * 2 ** failures;
  if (!document.hidden && failures < MOST_FAILURES) timer = setTimeout(ask, Math.min(pause, SLOWEST));
}

for (const [is, [, words]] of GLYPHS) {
  byId("legend").append(make("li", {}, cell(is, ""), make("span", {}, is ? `${is}: ${words}` : words)));
}
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // "#main" in the address would be a target's name
  byId("main").focus();
});
addEventListener("hashchange", () => {
  if (!state) return;
  show();
  if (!SNAPSHOT) askHistory();
  scrollTo(0, 0);
  byId("main").focus({ preventScroll: true });
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || SNAPSHOT) return;
  failures = 0;
  ask();
});
if (SNAPSHOT) {
  state = SNAPSHOT;
  show();
} else {
  ask();
}
