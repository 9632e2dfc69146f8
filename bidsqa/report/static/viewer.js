// the slice viewer: one slice large, chosen on the strip of scores
(() => {
  const view = about.viewer;
  if (!view) return;
  const SYMBOLS = {pass: "✓", review: "?", fail: "✕"};
  const canvas = $("slice-picture"), pen = canvas.getContext("2d"), strip = $("slice-strip"), outline = $("slice-outline");
  const planes = Array.from(document.querySelectorAll("input[name=plane]"));
  const maps = Array.from(document.querySelectorAll("input[name=map]"));
  const sides = Array.from(document.querySelectorAll("#slices .side"));
  let plane = view.planes[0], at = 0, asked = null;

  const nearest = (list, slice) => list.reduce((best, one, place) =>
    Math.abs(one - slice) < Math.abs(list[best] - slice) ? place : best, 0);
  const name = () => plane.plane[0].toUpperCase() + plane.plane.slice(1) + " slice " + plane.index[at];
  const model = () => (maps.find(one => one.checked) || {value: ""}).value;
  const mapped = which => (view.maps[which] || []).filter(([where]) => where === plane.plane).map(([, slice]) => slice);

  const put = (image, ...place) => {
    if (image.complete && image.naturalWidth) pen.drawImage(image, ...place);
    else image.addEventListener("load", draw, {once: true});
  };
  function draw() {
    const [width, height] = plane.size, slice = plane.index[at], which = model();
    const tile = [at % plane.columns * width, Math.floor(at / plane.columns) * height, width, height];
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    const whole = [0, 0, canvas.width, canvas.height], over = which && mapped(which).includes(slice);
    pen.imageSmoothingQuality = "high";
    sides.forEach((side, place) => { side.textContent = over ? "" : plane.sides[place]; });  // these pictures have their own
    if (over) {
      const end = [which, plane.plane, slice].join("-");
      put($("under-" + end), ...whole);
      put($("map-" + end), ...whole);
    } else {
      put($("sheet-" + plane.plane), ...tile, ...whole);
    }
    const line = $("sheet-brain-" + plane.plane);
    if (outline && outline.checked && line) {
      pen.imageSmoothingEnabled = false;
      put(line, ...tile, ...whole);
    }
  }

  // score in words; where a network left the slice out, its nearest one
  const told = which => {
    const list = plane.told[which];
    if (list[at]) return {kind: list[at][2], text: list[at].slice(0, 2).filter(Boolean).join(", ")};
    const scored = plane.index.filter((_, place) => list[place]);
    const near = plane.index.indexOf(scored[nearest(scored, plane.index[at])]);
    return {kind: "", text: "not scored here; slice " + plane.index[near] + ": " + list[near].slice(0, 2).filter(Boolean).join(", ")};
  };

  const tellMap = () => {
    const which = model(), slices = which ? mapped(which) : [], list = $("slice-map");
    list.textContent = "";
    document.querySelectorAll("#slices [data-map]").forEach(part => {
      part.hidden = part.dataset.map !== which || !slices.includes(plane.index[at]);
    });
    if (!which || slices.includes(plane.index[at])) return;
    list.append(slices.length ? "No map of this slice: maps are made of the worst ones only, here " : "No map in this plane: maps are made of the worst slices only.");
    slices.forEach((slice, place) => {
      const button = make("button", "slice " + slice, "inline");
      button.type = "button";
      button.addEventListener("click", () => { go(plane.plane, slice); strip.focus({preventScroll: true}); });
      list.append(place ? ", " : "", button);
    });
    if (slices.length) list.append(".");
  };

  function show() {
    const slice = plane.index[at];
    $("slice-name").textContent = name() + (asked === null || asked === slice ? "" : " (the nearest here to " + asked + ")");
    const list = $("slice-told"), spoken = [];
    list.textContent = "";
    for (const which of Object.keys(plane.told)) {
      const {kind, text} = told(which), entry = make("div", "", kind), value = make("dd");
      const title = view.titles[which];
      if (kind) {
        const symbol = make("span", SYMBOLS[kind], "symbol");
        symbol.setAttribute("aria-hidden", "true");
        entry.append(symbol);
      }
      value.textContent = text;
      entry.append(make("dt", title), value);
      list.append(entry);
      spoken.push(title + " " + text);
    }
    const ends = {valuemin: plane.index[0], valuemax: plane.index[plane.index.length - 1], valuenow: slice};
    for (const [end, value] of Object.entries(ends)) strip.setAttribute("aria-" + end, value);
    strip.setAttribute("aria-valuetext", name() + ": " + spoken.join("; "));
    canvas.setAttribute("aria-label", name() + (model() && mapped(model()).includes(slice) ? " under the map" : ""));
    strip.querySelectorAll("[data-plane]").forEach(part => { part.hidden = part.dataset.plane !== plane.plane; });
    const chart = strip.querySelector("[data-plane='" + plane.plane + "'] svg"), {left, right, first, last} = chart.dataset;
    const x = (slice - first) / ((last - first) || 1) * (right - left);
    chart.querySelector(".cursor").setAttribute("transform", "translate(" + x.toFixed(1) + ")");
    planes.forEach(one => { one.checked = one.value === plane.plane; });
    tellMap();
    draw();
  }

  function go(where, slice) {
    plane = view.planes.find(one => one.plane === where) || plane;
    asked = slice;
    at = nearest(plane.index, slice);
    show();
  }
  const step = by => {
    at = Math.min(Math.max(at + by, 0), plane.index.length - 1);
    asked = null;
    show();
  };

  const moves = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -1e6, End: 1e6};
  strip.addEventListener("keydown", event => {
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(moves[event.key]);
  });
  const point = event => {
    const chart = strip.querySelector("[data-plane='" + plane.plane + "'] svg"), box = chart.getBoundingClientRect();
    const {left, right, first, last} = chart.dataset, x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    at = nearest(plane.index, +first + (x - left) / (right - left) * (last - first));
    asked = null;
    show();
  };
  strip.addEventListener("pointerdown", event => {
    if (event.button) return;
    strip.setPointerCapture(event.pointerId);
    point(event);
  });
  strip.addEventListener("pointermove", event => { if (strip.hasPointerCapture(event.pointerId)) point(event); });
  $("slice-before").addEventListener("click", () => step(-1));
  $("slice-after").addEventListener("click", () => step(1));
  $("slice-worst").addEventListener("click", () => {
    const next = plane.worst.indexOf(plane.index[at]) + 1;
    go(plane.plane, plane.worst[next % plane.worst.length]);
  });
  planes.forEach(one => one.addEventListener("change", () => go(one.value, view.planes.find(other => other.plane === one.value).worst[0])));
  maps.forEach(one => one.addEventListener("change", show));
  if (outline) outline.addEventListener("change", draw);

  keys.set("j", () => step(1));
  keys.set("k", () => step(-1));
  const cycle = list => {
    if (list.length > 1) list[(list.findIndex(one => one.checked) + 1) % list.length].click();
  };
  keys.set("p", () => cycle(planes));
  keys.set("v", () => cycle(maps));
  keys.set("t", () => { if (outline) outline.click(); });

  // slices named by the verdict lead here, and so does page.html#slice-axial-61
  document.querySelectorAll(".where").forEach(words => {
    const link = make("a", words.textContent);
    link.href = "#slices";
    link.addEventListener("click", () => {
      go(words.dataset.plane, Number(words.dataset.at));
      setTimeout(() => strip.focus({preventScroll: true}));
    });
    words.replaceChildren(link);
  });
  const follow = () => {
    const match = /^#slice-(axial|coronal|sagittal)-(\d+)$/.exec(location.hash);
    if (!match) return;
    go(match[1], Number(match[2]));
    $("slices").scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  go(...view.open);
  follow();
})();
