"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const events = data.events, total = events.seq.length;
const $ = (id) => document.getElementById(id);
const make = (tag, text, cls) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (cls) element.className = cls;
  return element;
};

// What the numbers of kinds mean, by the table that the file has.
const kindNames = data.kinds.map((kind) => kind[0]);
const kindOf = Object.fromEntries(kindNames.map((name, number) => [name, number]));
const classes = kindNames.map((name) =>
  ["fault", "crash", "verdict", "buggify", "pause"].includes(name) ? "fault"
    : ["restart", "heal"].includes(name) ? "start"
    : name === "drop" ? "lost"
    : name === "event" ? "fact" : "low");
// A verdict that all is well is no fault.
const classOf = (i) => (events.kind[i] === kindOf.verdict && !events.a[i] ? "start" : classes[events.kind[i]]);
const isSend = kindNames.map((name) => name === "send" || name === "frame_send");
const isArrival = kindNames.map((name) => name === "deliver" || name === "frame_deliver" || name === "drop");

const indexOf = new Map();
for (let i = 0; i < total; i++) indexOf.set(events.seq[i], i);
const causeOf = (i) => (events.cause[i] ? indexOf.get(events.seq[i] - events.cause[i]) : undefined);
const effects = new Map();
for (let i = 0; i < total; i++) {
  const cause = causeOf(i);
  if (cause === undefined) continue;
  if (!effects.has(cause)) effects.set(cause, []);
  effects.get(cause).push(i);
}

const nodes = [...new Set(events.node)].sort((a, b) => (a === data.world ? -1 : b === data.world ? 1 : a - b));
const rowOf = new Map(nodes.map((node, row) => [node, row]));
const nodeName = (node) => (node === data.world ? "world" : "n" + node);
const place = (i) => nodeName(events.node[i]) + (events.incarnation[i] ? "." + events.incarnation[i] : "");
const seconds = (ns) => (ns / 1e9).toFixed(6);
// A step of 2^64 - 1 is no step of the plan.
const labelsOf = (i) => data.kinds[events.kind[i]][1].map((label) => label === "step" && events.a[i] === "18446744073709551615" ? "" : label);
const numbers = (i) => {
  const labels = labelsOf(i);
  const parts = [];
  if (labels[0]) parts.push(labels[0] + "=" + events.a[i]);
  if (labels[1]) parts.push(labels[1] + "=" + events.b[i]);
  if (events.digest[i]) parts.push("#" + events.digest[i].slice(0, 8));
  return parts.join("  ");
};
const title = (i) => kindNames[events.kind[i]] + (events.name[i] ? " " + data.names[events.name[i]] : "");

// State: what is filtered, the window of time, the picked event.
const start = total ? events.time[0] : 0, end = Math.max(start + 1, total ? events.time[total - 1] : 1);
const margin = (end - start) * 0.01;
let window_ = [start - margin, end + margin], passing = [], shown = [], picked, chain = new Set();

function lowerBound(list, time, of) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(list[middle]) < time) low = middle + 1; else high = middle;
  }
  return low;
}

function filter() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const node = $("node").value, kind = $("kind").value, facts = $("facts_only").checked;
  passing = [];
  for (let i = 0; i < total; i++) {
    if (node !== "" && events.node[i] !== Number(node)) continue;
    if (kind !== "" && events.kind[i] !== Number(kind)) continue;
    if (facts && data.kinds[events.kind[i]][2] > 1) continue;
    if (words.length) {
      const text = (events.seq[i] + " " + place(i) + " " + title(i) + " " + numbers(i) + " " + events.digest[i]).toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    passing.push(i);
  }
  refresh();
}

function refresh() {
  const at = (i) => events.time[i];
  shown = passing.slice(lowerBound(passing, window_[0], at), lowerBound(passing, window_[1] + 1, at));
  const range = seconds(Math.max(window_[0], start)) + " – " + seconds(Math.min(window_[1], end)) + " s";
  $("count").textContent = shown.length.toLocaleString("en") + " of " + total.toLocaleString("en") + " events, " + range;
  draw();
  table();
}

// Time lines.
const canvas = $("canvas"), LEFT = 64, TOP = 24;
let rowHeight = 26, width = 0, colors = {};
const x = (time) => LEFT + ((time - window_[0]) / (window_[1] - window_[0])) * (width - LEFT - 12);
const y = (node) => TOP + rowOf.get(node) * rowHeight + rowHeight / 2;

function resize() {
  rowHeight = Math.max(14, Math.min(34, 420 / Math.max(nodes.length, 1)));
  const height = TOP + nodes.length * rowHeight + 6, scale = devicePixelRatio || 1;
  width = $("lines").clientWidth;
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.height = height + "px";
  const style = getComputedStyle(document.documentElement);
  for (const name of ["text", "dim", "line", "fact", "fault", "start", "lost", "low", "cause", "down", "back"]) colors[name] = style.getPropertyValue("--" + name).trim();
  draw();
  table();
}

function draw() {
  const g = canvas.getContext("2d"), scale = devicePixelRatio || 1;
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, canvas.height);
  drawAxis(g);
  g.save();
  g.beginPath();
  g.rect(LEFT, 0, width - LEFT, canvas.height);
  g.clip();
  drawSpans(g);
  if ($("messages").checked) drawMessages(g);
  drawMarks(g);
  drawChain(g);
  g.restore();
}

function drawAxis(g) {
  g.font = "11px system-ui, sans-serif";
  g.textBaseline = "middle";
  const span = window_[1] - window_[0], rough = span / Math.max(2, (width - LEFT) / 110);
  const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step))));
  g.strokeStyle = colors.line;
  g.fillStyle = colors.dim;
  g.textAlign = "center";
  for (let time = Math.ceil(window_[0] / step) * step; time <= window_[1]; time += step) {
    const at = Math.round(x(time)) + 0.5;
    g.globalAlpha = 0.6;
    g.beginPath(); g.moveTo(at, TOP - 4); g.lineTo(at, TOP + nodes.length * rowHeight); g.stroke();
    g.globalAlpha = 1;
    g.fillText((time / 1e9).toFixed(digits) + " s", at, 11);
  }
  g.textAlign = "right";
  for (const node of nodes) {
    g.fillStyle = colors.text;
    g.fillText(nodeName(node), LEFT - 10, y(node));
    g.strokeStyle = colors.line;
    g.beginPath(); g.moveTo(LEFT, Math.round(y(node)) + 0.5); g.lineTo(width, Math.round(y(node)) + 0.5); g.stroke();
  }
}

// Times at which a node was down, and at which a fault of the world lasted.
const spans = [];
{
  const open = new Map();
  const close = (key, until) => { if (open.has(key)) { spans.push([...open.get(key), until]); open.delete(key); } };
  for (let i = 0; i < total; i++) {
    const name = kindNames[events.kind[i]], node = events.node[i];
    if (name === "crash") open.set("down " + node, [node, events.time[i]]);
    if (name === "restart") close("down " + node, events.time[i]);
    const fault = events.name[i] + " " + node + " " + events.a[i];
    if (name === "fault" && !open.has(fault)) open.set(fault, [node, events.time[i]]);
    if (name === "heal") close(fault, events.time[i]);
  }
  for (const [key, span] of open) if (key.startsWith("down ")) spans.push([...span, end]);
}

function drawSpans(g) {
  g.fillStyle = colors.down;
  for (const [node, from, to] of spans) g.fillRect(x(from), y(node) - rowHeight / 2 + 2, Math.max(1, x(to) - x(from)), rowHeight - 4);
}

function drawMessages(g) {
  const most = 4000;
  g.lineWidth = 1;
  g.globalAlpha = 0.45;
  const low = Math.max(0, lowerBound(passing, window_[0], (i) => events.time[i]));
  let drawn = 0;
  for (let k = low; k < passing.length && drawn < most; k++) {
    const i = passing[k], cause = causeOf(i);
    if (!isArrival[events.kind[i]] || cause === undefined || !isSend[events.kind[cause]]) continue;
    if (events.time[cause] > window_[1]) break;
    arrow(g, cause, i, kindNames[events.kind[i]] === "drop" ? colors.lost : colors.low);
    drawn++;
  }
  g.globalAlpha = 1;
}

function arrow(g, from, to, color) {
  const x1 = x(events.time[from]), y1 = y(events.node[from]), x2 = x(events.time[to]), y2 = y(events.node[to]);
  const angle = Math.atan2(y2 - y1, x2 - x1);
  g.strokeStyle = g.fillStyle = color;
  g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke();
  if (Math.hypot(x2 - x1, y2 - y1) < 8) return;
  g.beginPath();
  g.moveTo(x2, y2);
  g.lineTo(x2 - 7 * Math.cos(angle - 0.35), y2 - 7 * Math.sin(angle - 0.35));
  g.lineTo(x2 - 7 * Math.cos(angle + 0.35), y2 - 7 * Math.sin(angle + 0.35));
  g.fill();
}

// One mark per pixel, node and class, the weighty ones on top.
function drawMarks(g) {
  for (const layer of ["low", "lost", "fact", "start", "fault"]) {
    const taken = new Set();
    g.fillStyle = g.strokeStyle = colors[layer];
    for (const i of shown) {
      const kind = events.kind[i];
      if (classOf(i) !== layer) continue;
      const at = Math.round(x(events.time[i])), row = rowOf.get(events.node[i]), key = at * 65536 + row;
      if (taken.has(key)) continue;
      taken.add(key);
      mark(g, layer, kindNames[kind], at, y(events.node[i]));
    }
  }
}

function mark(g, layer, kind, at, middle) {
  const size = Math.min(5, rowHeight / 4);
  if (layer === "low") { g.globalAlpha = 0.7; g.fillRect(at, middle - size * 0.7, 1, size * 1.4); g.globalAlpha = 1; return; }
  if (layer === "lost") { g.fillRect(at - 1, middle - size - 1, 2, size * 2 + 2); return; }
  if (layer === "fact") { g.beginPath(); g.arc(at, middle, size * 0.65, 0, 7); g.fill(); return; }
  g.beginPath();
  if (kind === "crash") {
    g.lineWidth = 2;
    g.moveTo(at - size, middle - size); g.lineTo(at + size, middle + size);
    g.moveTo(at + size, middle - size); g.lineTo(at - size, middle + size);
    g.stroke();
    g.lineWidth = 1;
  } else if (layer === "start") {
    g.moveTo(at - size, middle - size); g.lineTo(at + size, middle); g.lineTo(at - size, middle + size); g.fill();
  } else {
    g.moveTo(at, middle - size - 1); g.lineTo(at + size + 1, middle); g.lineTo(at, middle + size + 1); g.lineTo(at - size - 1, middle); g.fill();
  }
}

function drawChain(g) {
  if (picked === undefined) return;
  g.lineWidth = 2;
  for (let i = picked; i !== undefined; i = causeOf(i)) {
    const cause = causeOf(i);
    if (cause !== undefined) arrow(g, cause, i, colors.cause);
  }
  g.lineWidth = 1;
  g.strokeStyle = colors.cause;
  for (const i of chain) { g.beginPath(); g.arc(x(events.time[i]), y(events.node[i]), i === picked ? 8 : 5, 0, 7); g.stroke(); }
}

// Table: only the rows in sight exist.
const ROW = 22, HEIGHT_MOST = 8e6;
function row(cells, cls) {
  const line = make("div", undefined, "event " + (cls || ""));
  cells.forEach(([text, style]) => line.append(make("span", text, style)));
  return line;
}

function table() {
  const scroll = $("scroll"), height = Math.min(shown.length * ROW, HEIGHT_MOST);
  $("space").style.height = height + "px";
  const room = Math.ceil(scroll.clientHeight / ROW) + 1;
  const ratio = height > scroll.clientHeight ? Math.min(1, scroll.scrollTop / (height - scroll.clientHeight)) : 0;
  const exact = height < HEIGHT_MOST;
  const first = exact ? Math.floor(scroll.scrollTop / ROW) : Math.round(ratio * Math.max(0, shown.length - room + 1));
  $("rows").style.top = (exact ? first * ROW : scroll.scrollTop) + "px";
  $("rows").replaceChildren(...shown.slice(first, first + room).map((i) => {
    const cls = (i === picked ? "picked " : "") + (chain.has(i) ? "cause" : "");
    const line = row([
      [events.seq[i], "num"], [seconds(events.time[i]), "num"], [place(i)], [kindNames[events.kind[i]], classOf(i)],
      [events.name[i] ? data.names[events.name[i]] : ""], [numbers(i)], [events.cause[i] ? "← " + (events.seq[i] - events.cause[i]) : "", "num"],
    ], cls);
    line.onclick = () => pick(i);
    return line;
  }));
}

function reveal(i) {
  const at = lowerBound(shown, i, (k) => k), scroll = $("scroll"), height = Math.min(shown.length * ROW, HEIGHT_MOST);
  const top = (at / Math.max(1, shown.length)) * height;
  if (top < scroll.scrollTop || top > scroll.scrollTop + scroll.clientHeight - ROW * 2) scroll.scrollTop = top - scroll.clientHeight / 2;
}

// The picked event: what it is, what led to it, what it led to.
function pick(i, bring) {
  picked = i;
  chain = new Set();
  for (let k = i; k !== undefined; k = causeOf(k)) chain.add(k);
  if (bring && i !== undefined) {
    const time = events.time[i], half = (window_[1] - window_[0]) / 2;
    if (time < window_[0] || time > window_[1]) { window_ = [time - half, time + half]; refresh(); }
    reveal(i);
  }
  details();
  draw();
  table();
}

function facts(pairs) {
  const list = make("dl");
  for (const [label, value] of pairs) {
    const pair = make("div");
    pair.append(make("dt", label), make("dd", value));
    list.append(pair);
  }
  return list;
}

function details() {
  const aside = $("details");
  if (picked === undefined) {
    const help = ["Click an event for what led to it.", "Wheel: zoom. Drag: move. Double click: whole run.", "← → step through what is shown, ↑ goes to the cause, Esc lets go."];
    aside.replaceChildren(make("h2", "No event picked"), ...help.map((text) => make("p", text)), ...blockPictures());
    return;
  }
  const i = picked, labels = labelsOf(i);
  const pairs = [["event", events.seq[i]], ["time", (events.time[i] / 1e9).toFixed(9) + " s"], ["node", place(i)]];
  if (labels[0]) pairs.push([labels[0], events.a[i]]);
  if (labels[1]) pairs.push([labels[1], events.b[i]]);
  if (events.digest[i]) pairs.push(["digest", events.digest[i]]);
  const link = (k) => {
    const line = make("a", seconds(events.time[k]) + " " + place(k) + " " + title(k), classOf(k));
    line.onclick = () => pick(k, true);
    return line;
  };
  const most = 40, led = effects.get(i) || [];
  const links = (list) => [...list.slice(0, most).map(link), ...(list.length > most ? [make("p", "and " + (list.length - most) + " more")] : [])];
  const oldest = [...chain].pop(), lost = events.cause[oldest] ? [make("p", "Event " + (events.seq[oldest] - events.cause[oldest]) + " is not on this page.")] : [];
  aside.replaceChildren(
    make("h2", title(i)), facts(pairs),
    make("h2", "Led to it (" + (chain.size - 1) + ")"), ...links([...chain].slice(1)), ...lost,
    make("h2", "It led to (" + led.length + ")"), ...links(led));
}

function nearest(at, height) {
  const row = Math.floor((height - TOP) / rowHeight), node = nodes[row];
  if (node === undefined) return undefined;
  let best, distance = 9;
  const time = window_[0] + ((at - LEFT) / (width - LEFT - 12)) * (window_[1] - window_[0]), reach = (9 / width) * (window_[1] - window_[0]);
  for (let k = lowerBound(shown, time - reach * 1.2, (i) => events.time[i]); k < shown.length && events.time[shown[k]] <= time + reach * 1.2; k++) {
    const i = shown[k];
    if (events.node[i] !== node) continue;
    const away = Math.abs(x(events.time[i]) - at) + (classOf(i) === "low" ? 2 : 0);
    if (away < distance) { distance = away; best = i; }
  }
  return best;
}

function zoom(factor, around) {
  const [from, to] = window_;
  const next = [around - (around - from) * factor, around + (to - around) * factor];
  if (next[1] - next[0] < 200) return;
  window_ = [Math.max(next[0], start - margin), Math.min(next[1], end + margin)];
  refresh();
}

// Wiring.
let drag, dirty = false;
const later = (work) => { if (!dirty) { dirty = true; requestAnimationFrame(() => { dirty = false; work(); }); } };
canvas.onwheel = (event) => {
  event.preventDefault();
  const time = window_[0] + ((event.offsetX - LEFT) / (width - LEFT - 12)) * (window_[1] - window_[0]);
  zoom(Math.exp(event.deltaY * 0.002), time);
};
canvas.onpointerdown = (event) => { drag = { x: event.offsetX, from: [...window_], moved: false }; canvas.setPointerCapture(event.pointerId); };
canvas.onpointermove = (event) => {
  if (drag) {
    const shift = ((drag.x - event.offsetX) / (width - LEFT - 12)) * (drag.from[1] - drag.from[0]);
    if (Math.abs(drag.x - event.offsetX) > 3) drag.moved = true;
    if (drag.moved) { window_ = drag.from.map((edge) => edge + shift); later(refresh); }
    return;
  }
  const i = nearest(event.offsetX, event.offsetY), tip = $("tip");
  tip.hidden = i === undefined;
  if (i === undefined) return;
  tip.textContent = seconds(events.time[i]) + "  " + place(i) + "  " + title(i) + "  " + numbers(i);
  tip.style.left = Math.max(0, Math.min(event.offsetX + 12, width - tip.offsetWidth - 8)) + "px";
  tip.style.top = event.offsetY + 16 + "px";
};
canvas.onpointerup = (event) => {
  if (drag && !drag.moved) { const i = nearest(event.offsetX, event.offsetY); pick(i); if (i !== undefined) { reveal(i); table(); } }
  drag = undefined;
};
canvas.onpointerleave = () => { $("tip").hidden = true; };
const whole = () => { window_ = [start - margin, end + margin]; refresh(); };
canvas.ondblclick = whole;
$("out").onclick = whole;
$("scroll").onscroll = () => later(table);
let typing;
$("search").oninput = () => { clearTimeout(typing); typing = setTimeout(filter, 120); };
for (const id of ["node", "kind", "facts_only"]) $(id).onchange = filter;
$("messages").onchange = draw;
onkeydown = (event) => {
  if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT") { if (event.key === "Escape") event.target.blur(); return; }
  const at = picked === undefined ? -1 : lowerBound(shown, picked, (k) => k);
  if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  if (event.key === "Escape") pick(undefined);
  if (event.key === "ArrowRight" && shown[at + 1] !== undefined) pick(shown[at + 1], true);
  if (event.key === "ArrowLeft" && shown[at - 1] !== undefined) pick(shown[at - 1], true);
  if (event.key === "ArrowUp" && picked !== undefined && causeOf(picked) !== undefined) { event.preventDefault(); pick(causeOf(picked), true); }
};

document.title = "simtrace " + data.title;
$("title").textContent = data.title;
const verdict = $("verdict");
verdict.textContent = data.complete ? data.verdict || "no verdict" : "cut short: the file lacks its end";
verdict.className = data.complete ? (data.verdict.startsWith("PASS") ? "pass" : "fail") : "cut";
$("facts").replaceWith(Object.assign(facts(data.facts), { id: "facts" }));
if (data.left_out) $("texts").append(make("p", data.left_out.toLocaleString("en") + " earlier events are in the file but not on this page."));
for (const [label, text] of [["Scenario", data.scenario], ["Plan", data.plan]]) {
  if (!text) continue;
  const box = make("details");
  box.append(make("summary", label), make("pre", text));
  $("texts").append(box);
}
$("node").append(new Option("all nodes", ""), ...nodes.map((node) => new Option(nodeName(node), node)));
const present = [...new Set(events.kind)].sort((a, b) => a - b);
$("kind").append(new Option("all kinds", ""), ...present.map((kind) => new Option(kindNames[kind], kind)));
for (const [cls, text] of [["fact", "● what a node says"], ["fault", "◆ fault, × crash"], ["start", "▶ start, heal"], ["lost", "| lost message"], ["low", "| messages, timers, disks"], ["cause", "picked event and its causes"]]) {
  const item = make("span"), swatch = make("i");
  swatch.style.background = "var(--" + cls + ")";
  item.append(swatch, text);
  $("legend").append(item);
}
$("head").append(row([["event", "num"], ["seconds", "num"], ["node"], ["kind"], ["name"], ["numbers"], ["cause", "num"]]));
new ResizeObserver(resize).observe($("left"));
matchMedia("(prefers-color-scheme: dark)").onchange = resize;
// The event that the address names, or the verdict of a run that failed.
const named = location.hash ? indexOf.get(Number(location.hash.slice(1))) : undefined;
const broken = events.kind.findLastIndex((kind, i) => kind === kindOf.verdict && events.a[i]);
const first = named ?? (broken < 0 ? undefined : broken);
resize();
details();
filter();
if (first !== undefined) setTimeout(() => pick(first, true));
