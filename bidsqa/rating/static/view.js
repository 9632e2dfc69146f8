// SPDX-License-Identifier: Apache-2.0
// The pictures on the stage: loading them all before they are shown, the same zoom for all, the slices of a stack.

const ZOOMS = [1, 2, 4];

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
    const trial = this.trial;
    const key = `${slot.name}/${index}`;
    const image = new Image();
    image.src = this.address(slot, index);
    this.pictures.set(key, image);
    await image.decode();
    if (trial === this.trial) image.alt = "";
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
      frame.style.aspectRatio = `${slot.width_mm} / ${slot.height_mm}`;
      const image = document.createElement("img");
      image.draggable = false;
      image.alt = words;
      image.dataset.slot = slot.name;
      frame.append(image);
      figure.append(frame);
      const caption = document.createElement("figcaption");
      caption.textContent = words;
      figure.append(caption);
      this.draggable(frame);
      return figure;
    });
    this.stage.replaceChildren(...figures);
    this.slots = new Map(list.map(([slot]) => [slot.name, slot]));
    this.turnTo(this.slice, false);
    this.place();
    this.wait.hidden = true;
  }

  clear() {
    this.stage.replaceChildren();
    this.wait.hidden = true;
    document.getElementById("slices").hidden = true;
  }

  turnTo(index, logged = true) {
    this.slice = Math.max(0, Math.min(this.slices - 1, index));
    for (const image of this.stage.querySelectorAll("img")) {
      const ready = this.pictures.get(`${image.dataset.slot}/${this.slice}`);
      image.src = ready ? ready.src : this.address(this.slots.get(image.dataset.slot), this.slice);
    }
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
    for (const image of this.stage.querySelectorAll("img")) {
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
