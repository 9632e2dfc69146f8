// SPDX-License-Identifier: Apache-2.0
// One item after the other: show it, take the answer, save it before the next one comes.

import { listen } from "./keys.js";
import { View } from "./view.js";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
const IDLE_MS = 60000;
const RETRY_MS = 2000;
const IMMEDIATE = ["pairwise", "diagnostic", "likert"];
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "similar", 1: "left", 2: "similar", 3: "right" };
const CAPTIONS = { left: "Left", right: "Right", reference: "Reference: as acquired", image: "Image" };

const state = { trial: null, began: null, idle: false, lastInput: 0, view: [], pointer: 0, busy: true, pending: null };
const view = new View((what, value) => {
  if (state.began !== null) state.view.push({ ms: Math.round(performance.now() - state.began), what, value });
});

function say(words, wrong = false) {
  byId("status").textContent = words;
  byId("status").classList.toggle("wrong", wrong);
}

function touched() {
  const time = performance.now();
  if (state.began !== null && time - state.lastInput > IDLE_MS) state.idle = true;
  state.lastInput = time;
}

// ---------------------------------------------------------------- showing

async function next(words) {
  state.busy = true;
  state.began = null;
  let told;
  for (;;) {
    try {
      const reply = await fetch(`/api/${data.task}/next`);
      if (reply.status === 403) return closed();
      if (!reply.ok) throw new Error(String(reply.status));
      told = await reply.json();
      break;
    } catch {
      say("bidsqa-rate doesn't answer; trying again …", true);
      await pause();
    }
  }
  byId("far").textContent = `${told.done} of ${told.goal}`;
  byId("bar").max = Math.max(told.goal, 1);
  byId("bar").value = told.done;
  byId("undo").disabled = !told.can_undo;
  await show(told.trial, words);
}

async function show(trial, words) {
  state.trial = trial;
  const done = trial === null;
  for (const part of ["stage", "answers", "more", "artifacts", "question"]) if (byId(part)) byId(part).hidden = done;
  byId("finished").hidden = !done;
  byId("zoom").hidden = done;
  byId("strip").hidden = done || !trial.series.length;
  byId("practice").hidden = done || !trial.practice;
  state.view = [];
  state.idle = false;
  if (done) {
    view.clear();
    say(words || "");
    state.busy = false;
    return;
  }
  try {
    await view.load(trial);
  } catch {
    view.wait.textContent = "The images can't be loaded.";
    say("The images can't be loaded. Reload the page; if it happens again, skip this item.", true);
    state.busy = false;
    return;
  }
  startAt(trial);
  say(words || "");
  // the time begins when the pictures are on the screen
  requestAnimationFrame(() => {
    state.began = performance.now();
    state.lastInput = state.began;
    state.busy = false;
    document.body.dataset.ready = trial.code;
  });
}

function startAt(trial) {
  state.pointer = trial.start % data.values.length;
  if (trial.series.length) {
    drawStrip(trial);
    point(state.pointer);
  } else {
    view.show(trial.slots.map((slot) => [slot, CAPTIONS[slot.name]]));
  }
}

// Which pictures of the series stand for an answer: one, or two for a half step.
function seriesAt(pointer) {
  const value = Number(data.values[pointer]);
  if (data.task === "min_acceptable") return [Math.max(0, Math.min(state.trial.series.length - 1, value - 1))];
  return value % 1 ? [Math.floor(value), Math.ceil(value)] : [value];
}

function nameOf(number) {
  return data.task === "min_acceptable" ? `Version ${number + 1}` : `Ruler ${number}`;
}

function drawStrip(trial) {
  const buttons = data.values.map((value, pointer) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", data.levels[value]);
    const [number, other] = seriesAt(pointer);
    const outside = data.task === "min_acceptable" && (value === "0" || pointer === data.values.length - 1);
    if (other === undefined && !outside) {
      const image = document.createElement("img");
      image.alt = "";
      image.src = view.address(trial.series[number], view.slice);
      button.append(image);
    }
    button.classList.toggle("half", other !== undefined);
    const words = document.createElement("span");
    words.textContent = outside ? `${value}: ${data.levels[value]}` : other === undefined ? value : "½";
    button.append(words);
    button.addEventListener("click", () => {
      point(pointer);
      rest();
    });
    return button;
  });
  byId("strip").replaceChildren(...buttons);
}

function point(pointer) {
  state.pointer = Math.max(0, Math.min(data.values.length - 1, pointer));
  const trial = state.trial;
  const list = trial.slots.map((slot) => [slot, CAPTIONS[slot.name]]);
  for (const number of seriesAt(state.pointer)) list.push([trial.series[number], nameOf(number)]);
  view.show(list);
  [...byId("strip").children].forEach((button, at) => button.setAttribute("aria-pressed", String(at === state.pointer)));
  const value = data.values[state.pointer];
  const chosen = byId("chosen");
  if (chosen) chosen.textContent = `${value}: ${data.levels[value]}`;
}

// ---------------------------------------------------------------- answering

function drawAnswers() {
  const buttons = [];
  const add = (words, small, key, act, kind = "") => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = kind;
    button.append(words);
    if (key) {
      const mark = document.createElement("kbd");
      mark.textContent = key;
      button.append(" ", mark);
    }
    if (small) {
      const note = document.createElement("small");
      note.textContent = small;
      if (kind === "main") note.id = "chosen";
      button.append(note);
    }
    button.addEventListener("click", () => {
      rest();
      act();
    });
    buttons.push(button);
  };
  if (data.task === "pairwise") {
    add("Left is better", "", "←", () => answer("left"));
    add("Similar", "", "↓", () => answer("similar"));
    add("Right is better", "", "→", () => answer("right"));
  } else if (data.task === "ruler_score") {
    add("Acceptable", "with the place marked above", "y", () => answer(data.values[state.pointer], true));
    add("Not acceptable", "with the place marked above", "n", () => answer(data.values[state.pointer], false));
  } else if (IMMEDIATE.includes(data.task)) {
    for (const value of data.values) add(value, data.levels[value], "", () => answer(value));
  } else {
    add("This is my answer", "…", "Enter", () => answer(data.values[state.pointer]), "main");
  }
  add("Skip", "", "s", () => answer("skip"), "skip");
  byId("answers").replaceChildren(...buttons);
}

// The focus goes back to the page, so that the next key is an answer and not a click on the same button.
function rest() {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

function answer(value, acceptable = null) {
  if (state.busy || !state.trial || (value !== "skip" && state.began === null)) return;
  state.busy = true;
  touched();
  const sure = document.querySelector("#confidence input:checked");
  state.pending = {
    trial: state.trial.code,
    supersedes: state.trial.supersedes,
    nonce: [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    value,
    acceptable,
    artifacts: [...document.querySelectorAll("#artifacts input:checked")].map((box) => box.value),
    rt_ms: state.began === null ? null : Math.round(performance.now() - state.began),
    idle: state.idle,
    confidence: sure && sure.value !== "" ? Number(sure.value) : null,
    comment: byId("comment").value,
    view: state.view,
  };
  send();
}

async function send() {
  for (;;) {
    let reply;
    try {
      reply = await post("answer", state.pending);
    } catch {
      say("Not saved yet: bidsqa-rate doesn't answer. Trying again; leave this page open.", true);
      await pause();
      continue;
    }
    if (reply.status === 403) return closed();
    if (reply.status >= 500) {
      say("Not saved yet: the ratings can't be written; look at the terminal. Trying again; leave this page open.", true);
      await pause();
      continue;
    }
    const wrong = reply.ok || reply.status === 409 ? "" : `Not saved: ${(await reply.json()).error}`;
    state.pending = null;
    if (wrong) {
      say(wrong, true);
      state.busy = false;
      return undefined;
    }
    byId("comment").value = "";
    for (const box of document.querySelectorAll("#artifacts input")) box.checked = false;
    document.querySelector("#confidence input").checked = true;
    return next(reply.ok ? "Saved." : "This item was answered in another window.");
  }
}

async function undo() {
  if (state.busy || byId("undo").disabled) return;
  state.busy = true;
  try {
    const reply = await post("undo", {});
    if (reply.status === 403) return closed();
    if (!reply.ok) throw new Error(String(reply.status));
    await next("The last answer is taken back. Give it anew.");
  } catch {
    say("bidsqa-rate doesn't answer. Is it still running?", true);
    state.busy = false;
  }
}

function post(what, body) {
  return fetch(`/api/${data.task}/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

function closed() {
  state.busy = true;
  const lost = state.pending ? " Your last answer is not saved." : "";
  say(`bidsqa-rate was started anew; open the address that it prints now.${lost}`, true);
}

const pause = () => new Promise((resume) => setTimeout(resume, RETRY_MS));

// ---------------------------------------------------------------- keys

function pressed(event) {
  touched();
  const key = event.key;
  if (key === "?") byId("help-text").showModal();
  else if (key === "u") undo();
  else if (key === "z") view.zoomNext();
  else if (key === "c") {
    byId("more").open = true;
    byId("comment").focus();
  } else if (key === "k") nextConfidence();
  else if (key === "PageUp" || key === "PageDown") view.turnTo(view.slice + (key === "PageUp" ? 1 : -1));
  else if (event.shiftKey && key.startsWith("Arrow")) pan(key);
  else if (event.repeat || state.busy) return false;
  else if (key === "s") answer("skip");
  else return answered(key);
  return true;
}

function answered(key) {
  if (data.task === "pairwise") {
    if (!(key in ARROWS)) return false;
    answer(ARROWS[key]);
    return true;
  }
  if (state.trial && state.trial.series.length) return moved(key);
  if (data.values.includes(key)) {
    answer(key);
    return true;
  }
  const box = [...document.querySelectorAll("#artifacts input")].find((one) => one.dataset.key === key);
  if (box) box.checked = !box.checked;
  return Boolean(box);
}

function moved(key) {
  if (key === "ArrowLeft" || key === "ArrowRight") point(state.pointer + (key === "ArrowRight" ? 1 : -1));
  else if (data.values.includes(key)) point(data.values.indexOf(key));
  else if (data.task === "ruler_score" && (key === "y" || key === "n")) answer(data.values[state.pointer], key === "y");
  else if (data.task !== "ruler_score" && key === "Enter") answer(data.values[state.pointer]);
  else return false;
  return true;
}

function pan(key) {
  const step = 0.1 / view.zoom;
  const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  view.move(...way[key]);
}

function nextConfidence() {
  byId("more").open = true;
  const radios = [...document.querySelectorAll("#confidence input")];
  radios[(radios.findIndex((one) => one.checked) + 1) % radios.length].checked = true;
}

byId("undo").addEventListener("click", () => {
  rest();
  undo();
});
byId("zoom").addEventListener("click", rest);
byId("help").addEventListener("click", () => byId("help-text").showModal());
for (const kind of ["pointerdown", "pointermove", "wheel"]) document.addEventListener(kind, touched, { passive: true });
document.addEventListener("visibilitychange", () => {
  if (document.hidden && state.began !== null) state.idle = true;
});
window.addEventListener("beforeunload", (event) => {
  if (state.pending) event.preventDefault();
});
listen(pressed);
drawAnswers();
next("");
