"use strict";
// Shows state.json, and asks again: every three seconds while a deploy runs, else every ten.
// Commit subjects, host output and names are hostile: all of it is set as text, never as HTML.

const LIVE = 3000, AT_REST = 10000, MOST_CELLS = 120, MOST_REASONS = 4;
const GLYPHS = {
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
};
const ORDER = ["failed", "parked", "drifted", "behind", "running", "waiting", "unknown", "old", "asleep", "at it", ""];
const DOES = {
  send: (one, hosts) => `The next round sends ${one.commit.slice(0, 7)} to ${hosts}`,
  later: (one, hosts) => `A later round sends ${one.commit.slice(0, 7)} to ${hosts}`,
  recheck: (one, hosts) => `The next round looks again at ${hosts}`,
  wait: (one, hosts) => `The next round skips ${hosts}`,
  parked: (one, hosts) => `No round sends anything more to ${hosts}`,
};
const byId = (id) => document.getElementById(id);
const embedded = (id) => { const found = byId(id); return found ? JSON.parse(found.textContent) : null; };
const SNAPSHOT = embedded("state"), PAST = embedded("history");

let state = null, histories = {}, timer = 0, asking = false;

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

function commit(target, sha) {
  if (!sha) return make("span", { class: "commit faint" }, "unknown");
  const words = sha.slice(0, 7), subject = target.subjects[sha] || "";
  const address = state.github && /^[0-9a-f]{40}$/.test(sha) ? `${state.github}/${target.repository}/commit/${sha}` : "";
  return link(address, words, { class: "commit", title: subject });
}

function compare(target, from, to) {
  if (!state.github || !from || !to || from === to || !/^[0-9a-f]{80}$/.test(from + to)) return null;
  return link(`${state.github}/${target.repository}/compare/${from}...${to}`, "what differs");
}

function console_(id) {
  const isId = /^[0-9a-f-]{36}$/.test(id || "") && /^[a-z0-9-]+$/.test(state.region || "");
  const place = `https://${state.region}.console.aws.amazon.com/systems-manager/run-command/${id}?region=${state.region}`;
  return isId ? link(place, "AWS console") : null;
}

const many = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const parts = (...all) => all.filter(Boolean).flatMap((one, at) => (at ? [" · ", one] : [one]));

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
const troubled = (target) => target.hosts.filter((one) => ["failed", "parked", "drifted"].includes(one.state));
const kindOf = (target) => {
  if (isBusy(target)) return "busy";
  if (troubled(target).length || !target.hosts.length) return "bad";
  if (!target.well || target.held || (target.pinned && target.pinned.state === "frozen")) return "held";
  return "good";
};
const RANK = ["bad", "busy", "held", "good"];

function verdictOf(target) {
  const all = target.hosts.length, bad = troubled(target), at = target.hosts.filter((one) => one.there).length;
  if (!all) return "no hosts";
  if (isBusy(target)) return `deploying: ${at} of ${all} done`;
  if (bad.length) return `${bad[0].state} on ${bad.length === all ? many(all, "host") : `${bad.length} of ${many(all, "host")}`}`;
  if (target.pinned && target.pinned.state === "frozen") return "frozen";
  const off = target.hosts.filter((one) => one.state === "asleep").length;
  const on = target.wanted ? `on ${target.wanted.commit.slice(0, 7)}` : "at the wanted commit";
  return `${at} of ${many(all, "host")} ${on}${off ? `, ${off} offline` : ""}`;
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
  const shown = hosts.slice(0, 3).map((one) => one.host).join(", ");
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
  return make("span", { class: "cell", "data-is": is || "none", title, "aria-hidden": "true" }, (GLYPHS[is] || ["–"])[0]);
}

function why(target) {
  const bad = troubled(target);
  if (!bad.length) return null;
  const words = (one) => (one.state === "drifted" ? "drifted: somebody moved the checkout by hand" : one.last || one.state);
  const found = groups(bad, words);
  const rows = found.slice(0, MOST_REASONS).map(([said, hosts]) => make("li", {}, make("b", {}, names(hosts)), " ", said));
  if (found.length > MOST_REASONS) rows.push(make("li", {}, `and ${found.length - MOST_REASONS} other reasons`));
  return make("ul", { class: "why" }, rows);
}

function next(target) {
  if (target.held) return target.held;
  const open = target.waiting && target.waiting.gates.every((one) => one.state === "open");
  if (open && target.waiting.gates.length) return `The next round sends ${target.waiting.commit.slice(0, 7)}: all gates are open.`;
  if (target.waiting && !open) return `${target.waiting.commit.slice(0, 7)} goes out when every gate above is open.`;
  if (!target.next.length) return target.hosts.length ? "Nothing: there is nothing to do." : "Nothing: the target has no hosts.";
  return make("ul", {}, target.next.slice(0, MOST_REASONS).map((one) => {
    const hosts = many(one.hosts, "host"), does = DOES[one.action] || (() => `${one.action} for ${hosts}`);
    return make("li", {}, `${does(one, hosts)}: ${one.reason}.`);
  }));
}

function gates(target) {
  const waiting = target.waiting;
  if (!waiting || !waiting.gates.length) return null;
  const rows = waiting.gates.map((one) => make("li", {}, make("b", {}, `gate “${one.name}” is ${one.state}`), one.reason ? `: ${one.reason}` : ""));
  return [make("dt", {}, "Waiting"), make("dd", {}, commit(target, waiting.commit), ` ${target.subjects[waiting.commit] || waiting.tag}`, make("ul", {}, rows))];
}

function lastDeploy(target) {
  const newest = target.newest;
  if (!newest) return "nothing was sent in the last 30 days";
  const who = newest.by ? `by ${newest.by}` : "";
  return parts(newest.state.replace("_", " "), ago(newest.at), `${newest.cause} ${who}`.trim(),
    newest.seconds !== null && `took ${length(newest.seconds)}`, commit(target, newest.commit), console_(newest.command_id));
}

function card(target, isWhole) {
  const kind = kindOf(target), pinned = target.pinned, wanted = target.wanted && target.wanted.commit;
  const heading = make("h2", {}, isWhole ? target.target : make("a", { href: `#${target.target}`, id: `to-${target.target}` }, target.target));
  const others = target.hosts.filter((one) => one.commit && wanted && !one.there && !one.local_commits).map((one) => one.commit);
  const aside = target.hosts.filter((one) => one.set_aside).slice(0, MOST_REASONS);
  const facts = [
    ...(pinned ? [make("dt", {}, pinned.state), make("dd", {}, parts(pinned.reason || "no reason is given",
      pinned.by && `by ${pinned.by}`, pinned.until && make("span", {}, "until ", until(pinned.until))))] : []),
    ...(gates(target) || []),
    ...(aside.length ? [make("dt", {}, "Set aside"), make("dd", {}, make("ul", {}, aside.map((one) => make("li", {}, `${one.set_aside} on ${one.host}`))))] : []),
    make("dt", {}, "Next"), make("dd", {}, next(target)),
    make("dt", {}, "Last deploy"), make("dd", {}, lastDeploy(target)),
  ];
  return make("article", { class: kind, id: `target-${target.target}` },
    make("div", { class: "top" }, heading, make("span", { class: "is" }, isWhole ? make("a", { href: "#", id: "back" }, "← all targets") : verdictOf(target))),
    make("p", { class: "faint" }, parts(target.repository, target.branch ? `branch ${target.branch}` : `tag ${target.tag}`,
      target.environment !== target.target && `environment ${target.environment}`,
      target.url && link(target.url, target.url.replace(/^https?:\/\//, "")))),
    make("p", { class: "subject" }, wanted ? parts(make("span", {}, "wants ", commit(target, wanted)),
      target.subjects[wanted], compare(target, others[0], wanted)) : "no commit is wanted"),
    strip(target), why(target), make("dl", {}, facts), isWhole ? details(target) : null);
}

function details(target) {
  const hosts = [...target.hosts].sort((one, other) => ORDER.indexOf(one.state || "") - ORDER.indexOf(other.state || "") || one.host.localeCompare(other.host));
  return [
    make("h3", {}, "Hosts"), make("ul", { class: "hosts" }, hosts.map((one) => hostRow(target, one))),
    make("h3", {}, "Deploys of the last 30 days"), past(target),
  ];
}

function hostRow(target, one) {
  const aside = parts(one.local_commits && many(one.local_commits, "local commit"), one.set_aside && `set aside: ${one.set_aside}`,
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
  return [make("b", {}, state), rest];
}

function past(target) {
  const entries = histories[target.target];
  if (!entries) return make("p", { class: "faint" }, "Asking AWS …");
  if (typeof entries === "string") return make("p", {}, entries);
  const deploys = entries.filter((one) => one.kind === "command");
  if (!deploys.length) return make("p", { class: "faint" }, "Nothing was sent.");
  const outcome = { success: "at it", in_progress: "running", pending: "running", queued: "waiting", inactive: "old" };
  const rows = deploys.slice(0, 50).map((one) => make("li", {}, cell(outcome[one.state] || "failed", one.state), ago(one.at), commit(target, one.commit),
    make("span", { class: "subject faint" }, one.subject || target.subjects[one.commit] || "",
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

function show() {
  const chosen = decodeURIComponent(location.hash.slice(1)), target = state.targets.find((one) => one.target === chosen);
  const sorted = [...state.targets].sort((one, other) => RANK.indexOf(kindOf(one)) - RANK.indexOf(kindOf(other)) || one.target.localeCompare(other.target));
  const focused = document.activeElement && document.activeElement.id;
  const opened = [...document.querySelectorAll("details[open]")].map((one) => one.id);
  const place = byId("targets");
  place.className = target ? "one" : "";
  place.replaceChildren(...(target ? [card(target, true)] : sorted.map((one) => card(one, false))));
  opened.forEach((id) => byId(id) && byId(id).setAttribute("open", ""));
  if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
  if (target && !SNAPSHOT) askHistory(target.target);
  const bad = sorted.filter((one) => kindOf(one) === "bad"), busy = sorted.filter(isBusy), late = sorted.filter((one) => kindOf(one) === "held" && !one.well);
  const verdict = target ? `${target.target}: ${verdictOf(target)}` : bad.length === 1 ? `${bad[0].target}: ${verdictOf(bad[0])}` : bad.length ? `${names(bad.map((one) => ({ host: one.target })))} need a look`
    : busy.length ? `${names(busy.map((one) => ({ host: one.target })))}: a deploy is running` : late.length ? `${many(late.length, "target")} of ${sorted.length} not in step yet`
      : sorted.length ? "Every host is where it should be" : "No targets are stored yet";
  if (byId("verdict").textContent !== verdict) byId("verdict").textContent = verdict;
  byId("verdict").className = (target ? kindOf(target) === "bad" : bad.length) ? "bad" : "";
  document.title = `${bad.length ? "✕ " : busy.length ? "▸ " : ""}${state.stage} · Pulley`;
  byId("stage").textContent = `· stage ${state.stage}${state.region ? `, ${state.region}` : ""}`;
  byId("asked").textContent = `${SNAPSHOT ? "snapshot" : "as"} of ${state.at.replace("T", " ").replace("Z", " UTC")}`;
  trouble([...state.failed.map((one) => `${one.target} cannot be read: ${one.reason}`), ...state.problems.map((one) => `not a valid target: ${one}`)]);
  byId("about").hidden = false;
}

function trouble(all) {
  const place = byId("trouble");
  place.hidden = !all.length;
  place.replaceChildren(...all.map((one) => make("div", {}, one)));
}

async function read(address) {
  const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
  if (answer.status === 404) throw new Error("You are not signed in any more: run pulley open --hosted again.");
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `the answer was ${answer.status}`);
  return body;
}

async function askHistory(name) {
  const newest = (state.targets.find((one) => one.target === name).newest || {});
  const key = `${newest.command_id} ${newest.state} ${newest.ended}`;
  if (askHistory[name] === key) return;
  askHistory[name] = key;
  try {
    histories[name] = (await read(`history.json?target=${encodeURIComponent(name)}`)).entries;
  } catch (error) {
    histories[name] = `The past cannot be read: ${error.message}`;
    askHistory[name] = "";
  }
  show();
}

async function ask() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    state = await read("state.json");
    show();
  } catch (error) {
    trouble([`${state ? "This is not new any more. " : ""}${error.message}`]);
    if (!state) byId("verdict").textContent = "Nothing can be shown";
  }
  asking = false;
  if (!document.hidden) timer = setTimeout(ask, state && state.targets.some(isBusy) ? LIVE : AT_REST);
}

for (const [is, [, words]] of Object.entries(GLYPHS)) {
  byId("legend").append(make("li", {}, cell(is, ""), make("span", {}, `${is}: ${words}`)));
}
addEventListener("hashchange", () => { if (state) { show(); scrollTo(0, 0); byId("main").focus({ preventScroll: true }); } });
document.addEventListener("visibilitychange", () => { if (!document.hidden && !SNAPSHOT) ask(); });
if (SNAPSHOT) {
  state = SNAPSHOT;
  histories = PAST || {};
  show();
} else {
  ask();
}
