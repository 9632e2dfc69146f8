// SPDX-License-Identifier: Apache-2.0
// The pictures on the stage: loading them all before they are shown, the same zoom for all, the slices of a stack.

const ZOOMS = [1, 2, 4];

// The letter of a side of the head, at that side of the picture.
function mark(letter, side) {
  const span = document.createElement("span");
  span.className = side ? "mark end" : "mark";
  span.textContent = letter;
  return span;
}

export class View {
  constructor(log) {
    this.log = log;
    this.stage = document.getElementById("pictures");
    this.wait = document.getElementById("wait");
    this.slider = document.getElementById("slice");
    this.number = document.getElementById("slice-number");
    this.zoomButton = document.getElementById("zoom");
    this.slider.addEventListener("input", () => this.turnTo(Number(this.slider.value)));
    this.zoomButton.addEventListener("click", () => this.zoomNext());
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.pictures = new Map();
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.slice = 0;
    this.slices = 1;
  }

  // Loads every picture of the first slice, then gives back; the other slices follow while the reader looks.
  async load(trial) {
    this.reset();
    this.trial = trial;
    this.wait.hidden = false;
    this.wait.textContent = "Loading the images …";
    this.pictures = new Map();
    this.slices = trial.slices;
    this.slice = Math.floor(this.slices / 2);
    document.getElementById("slices").hidden = this.slices < 2;
    this.slider.max = String(this.slices - 1);
    const all = [...trial.slots, ...trial.series];
    await Promise.all(all.map((slot) => this.fetch(slot, this.slice)));
    for (let away = 1; away < this.slices; away += 1) {
      for (const index of [this.slice - away, this.slice + away]) {
        if (index >= 0 && index < this.slices) for (const slot of trial.slots) this.fetch(slot, index).catch(() => {});
      }
    }
  }

  async fetch(slot, index) {
    const image = this.pictures.get(`${slot.name}/${index}`) || this.picture(slot, index);
    await image.decode();
  }

  // The element itself is kept and shown: a second one of the same address might be loaded again.
  picture(slot, index) {
    const image = new Image();
    image.draggable = false;
    image.src = this.address(slot, index);
    this.pictures.set(`${slot.name}/${index}`, image);
    return image;
  }

  address(slot, index) {
    return `/image/${this.trial.code}/${slot.name}/${index}.png`;
  }

  // Puts pictures side by side: [slot, words].
  show(list) {
    const figures = list.map(([slot, words]) => {
      const figure = document.createElement("figure");
      const frame = document.createElement("div");
      frame.className = "frame";
      frame.dataset.slot = slot.name;
      const box = document.createElement("div");
      box.className = "box";
      // as wide as its column or as high as the stage, whichever comes first, and never out of proportion
      box.style.width = `min(100%, calc(var(--tall) * ${slot.width_mm / slot.height_mm}))`;
      frame.style.aspectRatio = `${slot.width_mm} / ${slot.height_mm}`;
      box.append(frame, ...this.trial.marks.map(mark));
      const caption = document.createElement("figcaption");
      caption.textContent = words;
      figure.append(box, caption);
      this.draggable(frame);
      return figure;
    });
    this.stage.replaceChildren(...figures);
    this.shown = new Map(list.map(([slot, words]) => [slot.name, { slot, words }]));
    this.turnTo(this.slice, false);
    this.wait.hidden = true;
  }

  clear() {
    this.stage.replaceChildren();
    this.wait.hidden = true;
    document.getElementById("slices").hidden = true;
  }

  turnTo(index, logged = true) {
    this.slice = Math.max(0, Math.min(this.slices - 1, index));
    for (const frame of this.stage.querySelectorAll(".frame")) {
      const { slot, words } = this.shown.get(frame.dataset.slot);
      const image = this.pictures.get(`${slot.name}/${this.slice}`) || this.picture(slot, this.slice);
      image.alt = words;
      frame.replaceChildren(image);
    }
    this.place();
    this.slider.value = String(this.slice);
    this.number.textContent = `${this.slice + 1} of ${this.slices}`;
    this.slider.setAttribute("aria-valuetext", this.number.textContent);
    if (logged) this.log("slice", this.slice);
  }

  wheel(event) {
    if (this.slices < 2 || event.ctrlKey) return;
    event.preventDefault();
    this.turnTo(this.slice + (event.deltaY > 0 ? -1 : 1));
  }

  zoomNext() {
    this.zoom = ZOOMS[(ZOOMS.indexOf(this.zoom) + 1) % ZOOMS.length];
    if (this.zoom === 1) this.centre = [0.5, 0.5];
    this.place();
    this.log("zoom", this.zoom);
  }

  move(right, down) {
    const margin = 0.5 / this.zoom;
    this.centre = [this.centre[0] + right, this.centre[1] + down].map((at) => Math.max(margin, Math.min(1 - margin, at)));
    this.place();
  }

  place() {
    const shift = this.centre.map((at) => 100 * (0.5 - at * this.zoom));
    for (const image of this.stage.querySelectorAll(".frame img")) {
      image.style.transform = `translate(${shift[0]}%, ${shift[1]}%) scale(${this.zoom})`;
      image.parentElement.classList.toggle("movable", this.zoom > 1);
    }
    this.zoomButton.firstChild.textContent = `Zoom ${this.zoom}× `;
  }

  draggable(frame) {
    let last = null;
    frame.addEventListener("pointerdown", (event) => {
      if (this.zoom === 1) return;
      last = [event.clientX, event.clientY];
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!last) return;
      const box = frame.getBoundingClientRect();
      this.move(
        (last[0] - event.clientX) / box.width / this.zoom,
        (last[1] - event.clientY) / box.height / this.zoom,
      );
      last = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => (last = null));
  }
}
