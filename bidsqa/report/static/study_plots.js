"use strict";
// Fills the empty figures (study_plots.py) with what study.js shows.
(() => {
  const study = window.study, data = study.data, by = id => document.getElementById(id);
  if (!data.values.length) { by("plots").hidden = true; return; }
  const EMPTY = JSON.parse(by("empty-figures").textContent);
  const MARKERS = {pass: "circle", review: "triangle", fail: "x"}, SIZES = {pass: 7, review: 9, fail: 9};
  const WORST_FIRST = ["fail", "review", "pass"], ROW = 52, DENSE_ROW = 34, LINE = 0.3, MANY_ROWS = 40, HEIGHT = 440;
  const MOST_LINES = 8, LONGEST_NAME = 48, LEAST_FOR_LINE = 5, NAMED = 10, MANY = 600, WILD = 0.02, ROOM = 3, DASHES = ["solid", "dashed", "dotdash", "dotted"];
  const DARK = matchMedia("(prefers-color-scheme:dark)");
  const COLOURS = () => DARK.matches ? ["#56b4e9", "#ff9d4d", "#35c9a0", "#e59fc6", "#e6c84d", "#9fc5ff", "#bbbbbb", "#b9a3f0"]
    : ["#0072b2", "#b84f00", "#00795a", "#b0508a", "#8a6000", "#2a7ab0", "#666666", "#6a4fb5"];
  const figures = {}, box = by("figures"), tip = by("tip");
  Bokeh.logger.set_level("error");
  const controls = {view: by("view"), value: by("value"), against: by("against"), grouping: by("grouping")};

  // ---- numbers in words
  const plain = value => {
    if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
    return Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
  };
  const quantile = (sorted, share) => {
    const at = share * (sorted.length - 1), low = Math.floor(at), high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
  };
  const sort = values => Float64Array.from(values).sort();
  const day = ms => new Date(ms).toISOString().slice(0, 10);
  const titled = value => value.title + (value.unit ? " (" + value.unit + ")" : "");
  const limitsOf = (value, shown) => {
    const suffixes = new Set(shown.map(study.suffix));
    return value.limits.filter(limit => !limit[2] || suffixes.has(limit[2]));
  };
  const limitWords = (limit, many) => limit[1] + " " + plain(limit[0]) + (many && limit[2] ? " (" + limit[2] + ")" : "");

  // ---- choosers
  const fill = (select, values) => [["Scores", value => value.chief && value.score], ["Chief metrics", value => value.chief && !value.score],
    ["Other metrics", value => !value.chief]].forEach(([label, fits]) => {
    const group = document.createElement("optgroup");
    group.label = label;
    values.forEach((value, place) => { if (fits(value)) group.append(new Option(value.title, String(place))); });
    if (group.children.length) select.append(group);
  });
  fill(controls.value, data.values);
  fill(controls.against, data.values);
  const place = (key, other) => {
    const found = data.values.findIndex(value => value.key === key);
    return found >= 0 ? found : Math.min(other, data.values.length - 1);
  };
  const state = () => ({
    view: figuresHave(study.state.view) ? study.state.view : "groups",
    value: place(study.state.value, 0), against: place(study.state.against, 1),
    grouping: study.state.grouping === "suffix" ? "suffix" : "site",
  });
  const figuresHave = view => Object.hasOwn(EMPTY, view || "");
  controls.view.addEventListener("change", () => study.set({view: controls.view.value}));
  controls.grouping.addEventListener("change", () => study.set({grouping: controls.grouping.value}));
  ["value", "against"].forEach(key => controls[key].addEventListener("change", () => study.set({[key]: data.values[controls[key].value].key})));

  // ---- what each view draws: {points, lines, boxes, words, x, y, height, titles, says}
  // the axis: all values, or without the wildest where they would squeeze the rest; limits where there is room for them
  const range = (sorted, limits) => {
    let low = sorted[0], high = sorted[sorted.length - 1];
    const first = quantile(sorted, 0.25), third = quantile(sorted, 0.75), reach = 20 * (third - first);
    const wild = sorted.filter(value => value < first - reach || value > third + reach).length;
    if (sorted.length >= 20 && reach > 0 && wild <= Math.max(2, WILD * sorted.length)) {
      low = Math.max(low, first - reach);
      high = Math.min(high, third + reach);
    }
    const span = (high - low) || Math.abs(high) || 1;
    limits.forEach(([limit]) => {
      if (limit < low && low - limit < ROOM * span) low = limit;
      if (limit > high && limit - high < ROOM * span) high = limit;
    });
    const pad = 0.04 * ((high - low) || Math.abs(high) || 1);
    return {low: low - pad, high: high + pad, edge: [low - pad / 2, high + pad / 2], clamp: value => Math.min(Math.max(value, low - pad / 2), high + pad / 2)};
  };
  const colours = {};
  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    ["pass", "review", "fail", "ink", "quiet", "rule", "tint", "paper"].forEach(name => { colours[name] = style.getPropertyValue("--" + name).trim(); });
  };
  const points = (known, x, y) => {
    const order = [...known].sort((a, b) => WORST_FIRST.indexOf(study.decision(b)) - WORST_FIRST.indexOf(study.decision(a)));
    return {x: order.map(x), y: order.map(y), scan: order, color: order.map(at => colours[study.decision(at)]),
      marker: order.map(at => MARKERS[study.decision(at)]), size: order.map(at => SIZES[study.decision(at)] - (order.length > MANY ? 2 : 0)),
      width: order.map(at => study.decision(at) === "fail" ? 2.2 : 1)};
  };
  const noLines = () => ({xs: [], ys: [], color: [], dash: [], width: []});
  const noWords = () => ({x: [], y: [], text: [], align: [], baseline: [], color: []});
  const line = (lines, xs, ys, color, dash, width) => { lines.xs.push(xs); lines.ys.push(ys); lines.color.push(color); lines.dash.push(dash); lines.width.push(width); };
  const word = (words, x, y, text, align, baseline, color = colours.ink) => { words.x.push(x); words.y.push(y); words.text.push(text); words.align.push(align); words.baseline.push(baseline); words.color.push(color); };
  const brief = name => name.length > LONGEST_NAME ? name.slice(0, LONGEST_NAME - 1) + "…" : name;

  const groups = (known, value, now) => {
    const numbers = value.numbers, view = range(sort(known.map(at => numbers[at])), limitsOf(value, known));
    const nameOf = at => now.grouping === "suffix" || data.sites.length === 1 ? study.suffix(at)
      : data.suffixes.length === 1 ? study.site(at) : study.suffix(at) + " · " + study.site(at);
    const members = new Map();
    known.forEach(at => { const name = nameOf(at); if (!members.has(name)) members.set(name, []); members.get(name).push(at); });
    const names = [...members.keys()].sort(), rowOf = new Map(names.map((name, row) => [name, row]));
    const boxes = {left: [], right: [], top: [], bottom: []}, lines = noLines(), words = noWords();
    // words on limits have lines of their own: limits may lie close together
    const drawn = limitsOf(value, known).filter(limit => limit[0] >= view.low && limit[0] <= view.high);
    const top = 0.75 + LINE * Math.max(drawn.length - 1, 0), bottom = -names.length + 0.4;
    drawn.forEach((limit, nth) => {
      line(lines, [limit[0], limit[0]], [bottom, top], colours.quiet, "dashed", 1);
      word(words, limit[0], top - LINE * nth, limitWords(limit, true), limit[0] > (view.low + view.high) / 2 ? "right" : "left", "top");
    });
    names.forEach((name, row) => {
      const sorted = sort(members.get(name).map(at => numbers[at])), middle = quantile(sorted, 0.5);
      if (row) line(lines, [view.low, view.high], [-row + 0.52, -row + 0.52], colours.rule, "solid", 1);
      word(words, view.low, -row + 0.4, " " + brief(name) + "  (" + sorted.length + (sorted.length > 1 ? ", median " + plain(middle) : "") + ")", "left", "middle");
      if (sorted.length >= LEAST_FOR_LINE) {
        boxes.left.push(view.clamp(quantile(sorted, 0.25))); boxes.right.push(view.clamp(quantile(sorted, 0.75)));
        boxes.top.push(-row + 0.22); boxes.bottom.push(-row - 0.38);
      }
      if (sorted.length > 1) line(lines, [view.clamp(middle), view.clamp(middle)], [-row - 0.42, -row + 0.26], colours.ink, "solid", 2);
    });
    const jitter = at => ((at + 0.5) * 0.618034 % 1 - 0.5) * 0.5 - 0.08;
    return {points: points(known, at => view.clamp(numbers[at]), at => jitter(at) - rowOf.get(nameOf(at))), boxes, lines, words,
      x: [view.low, view.high], y: [bottom, top + 0.15], height: 95 + (names.length + LINE * drawn.length) * (names.length > MANY_ROWS ? DENSE_ROW : ROW), titles: [titled(value), ""],
      beyond: known.filter(at => numbers[at] < view.edge[0] || numbers[at] > view.edge[1]).length,
      says: "bar: median; box: the middle half of a row"};
  };

  const pair = (known, value, now) => {
    const other = data.values[now.against], both = known.filter(at => other.numbers[at] !== null);
    if (!both.length) return null;
    const x = range(sort(both.map(at => other.numbers[at])), limitsOf(other, both)), y = range(sort(both.map(at => value.numbers[at])), limitsOf(value, both));
    const lines = noLines(), words = noWords();
    limitsOf(other, both).forEach(limit => { if (limit[0] > x.low && limit[0] < x.high) { line(lines, [limit[0], limit[0]], [y.low, y.high], colours.quiet, "dashed", 1); word(words, limit[0], y.high, " " + limitWords(limit, true), "left", "top"); } });
    limitsOf(value, both).forEach(limit => { if (limit[0] > y.low && limit[0] < y.high) { line(lines, [x.low, x.high], [limit[0], limit[0]], colours.quiet, "dashed", 1); word(words, x.high, limit[0], limitWords(limit, true), "right", "bottom"); } });
    return {points: points(both, at => x.clamp(other.numbers[at]), at => y.clamp(value.numbers[at])), lines, words, x: [x.low, x.high], y: [y.low, y.high], height: HEIGHT,
      titles: [titled(other), titled(value)],
      beyond: both.filter(at => value.numbers[at] < y.edge[0] || value.numbers[at] > y.edge[1] || other.numbers[at] < x.edge[0] || other.numbers[at] > x.edge[1]).length,
      says: new Set(both.map(study.suffix)).size > 1 ? "contrasts are drawn together: filter by suffix to tell them apart" : ""};
  };

  const running = (series, numbers) => {
    const half = Math.max(2, Math.round(0.08 * series.length));
    return series.map((_, at) => quantile(sort(series.slice(Math.max(0, at - half), at + half + 1).map(scan => numbers[scan])), 0.5));
  };
  const drift = (known, value) => {
    const numbers = value.numbers, dated = known.filter(at => data.acquired[at] !== null);
    if (!dated.length) return null;
    const y = range(sort(dated.map(at => numbers[at])), limitsOf(value, dated)), lines = noLines(), words = noWords();
    const times = dated.map(at => data.acquired[at]), first = Math.min(...times), last = Math.max(...times), pad = 0.02 * (last - first) || 864e5;
    limitsOf(value, dated).forEach(limit => { if (limit[0] > y.low && limit[0] < y.high) { line(lines, [first - pad, last + pad], [limit[0], limit[0]], colours.quiet, "dashed", 1); word(words, first - pad, limit[0], " " + limitWords(limit, true), "left", "bottom"); } });
    const series = new Map();
    dated.forEach(at => { const name = study.suffix(at) + " · " + study.site(at); if (!series.has(name)) series.set(name, []); series.get(name).push(at); });
    const long = [...series].filter(entry => entry[1].length >= LEAST_FOR_LINE).sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
    const ends = [];
    long.slice(0, MOST_LINES).forEach(([name, members], nth) => {
      members.sort((a, b) => data.acquired[a] - data.acquired[b]);
      const middle = running(members, numbers).map(y.clamp), colour = COLOURS()[nth];
      line(lines, members.map(at => data.acquired[at]), middle, colour, DASHES[nth % DASHES.length], 2.5);
      ends.push([middle[middle.length - 1], name, colour]);
    });
    // names at the lines' ends, moved apart
    ends.sort((a, b) => a[0] - b[0]);
    const apart = 17 * (y.high - y.low) / (HEIGHT - 90);
    let under = -Infinity;
    ends.forEach(([at, name, colour]) => { under = Math.max(at, under + apart); word(words, last + pad, under, brief(name), "right", "bottom", colour); });
    const left = known.length - dated.length;
    return {points: points(dated, at => data.acquired[at], at => y.clamp(numbers[at])), lines, words, x: [first - pad, last + pad], y: [y.low, Math.max(y.high, under + apart)], height: HEIGHT, titles: ["date of acquisition", titled(value)],
      beyond: dated.filter(at => numbers[at] < y.edge[0] || numbers[at] > y.edge[1]).length,
      says: [long.length ? "lines: running medians, named at their ends" : "no group has the " + LEAST_FOR_LINE + " dated scans that a running median takes",
        long.length > MOST_LINES ? "only the " + MOST_LINES + " largest of " + long.length + " groups have one: filter by site for the others" : "",
        left ? left + " of " + known.length + " scans have no date" : ""].filter(Boolean).join("; ")};
  };
  const VIEWS = {groups, pair, drift};

  // ---- putting it on the page
  const paint = (figure, model) => {
    [...model.below, ...model.left].forEach(axis => axis.setv({axis_line_color: colours.quiet, major_tick_line_color: colours.quiet,
      minor_tick_line_color: null, major_label_text_color: colours.ink, axis_label_text_color: colours.ink, axis_label_text_font_style: "normal",
      axis_label_text_font_size: "13px", major_label_text_font_size: "12px"}));
    model.center.forEach(grid => { if (grid.type.includes("Grid")) grid.grid_line_color = colours.rule; });
    const glyph = name => figure.document.get_model_by_name(name).glyph;
    glyph("word").background_fill_color = colours.paper;
    glyph("box").setv({fill_color: colours.rule, line_color: colours.quiet});
  };
  const embed = async view => {
    const views = await Bokeh.embed.embed_item(EMPTY[view], "figure-" + view);
    const root = views.roots[0], model = root.model, figure = {root, document: model.document, model};
    ["points", "lines", "boxes", "words", "x_range", "y_range"].forEach(name => { figure[name] = figure.document.get_model_by_name(name); });
    figure.points.selected.properties.indices.change.connect(() => {
      const [chosen] = figure.points.selected.indices;
      if (chosen === undefined) return;
      figure.points.selected.indices = [];
      if (touched) { show(figure, chosen); } else { location.href = study.page(figure.points.data.scan[chosen]); }
    });
    figure.points.inspect.connect(() => {
      if (touched) return;
      const [over] = figure.points.inspected.indices.slice(-1);
      over === undefined ? hide() : show(figure, over);
    });
    // a finger on the plot must scroll the page
    if (matchMedia("(hover:none)").matches) figure.document.get_model_by_name("zoom").active = false;
    figures[view] = figure;
    return figure;
  };

  const meaning = (value, other) => by("meaning").replaceChildren(...[value, other].filter(Boolean).map(entry => {
    const told = document.createElement("p"), name = document.createElement("strong");
    name.textContent = entry.title;
    const limits = limitsOf(entry, study.shown);
    told.append(name, ": " + entry.says + (entry.direction ? " " + entry.direction[0].toUpperCase() + entry.direction.slice(1) + "." : "")
      + (limits.length ? " Limits: " + limits.map(limit => limitWords(limit, true)).join(", ") + "." : ""));
    return told;
  }));

  // names of those that stand out, or else of those farthest on the bad side
  const extremes = (known, value) => {
    const numbers = value.numbers, place = data.values.indexOf(value), odd = known.filter(at => study.odd(at).includes(place));
    const sign = value.bad || 1, ordered = [...(odd.length ? odd : known)].sort((a, b) => sign * (numbers[b] - numbers[a]) || a - b);
    const list = (title, entries) => {
      const head = document.createElement("h3"), all = document.createElement("ul");
      head.textContent = title;
      all.className = "named";
      entries.forEach(at => {
        const item = document.createElement("li"), link = document.createElement("a");
        link.href = study.page(at);
        link.textContent = study.name(at);
        item.append(link, " " + plain(numbers[at]) + ", " + study.decision(at));
        all.append(item);
      });
      return [head, all];
    };
    const few = ordered.slice(0, NAMED), others = odd.length < NAMED ? known.filter(at => !odd.includes(at)).sort((a, b) => sign * (numbers[b] - numbers[a]) || a - b) : [];
    // of one or two scans nobody asks which is the farthest
    by("extremes").replaceChildren(...(known.length < 3 && !odd.length ? [] : odd.length
      ? [...list(odd.length + " scan" + (odd.length > 1 ? "s stand" : " stands") + " out in " + value.title + " within suffix and site" + (odd.length > NAMED ? "; the first " + NAMED : ""), few),
        ...(value.bad && others.length ? list("Next on the bad side", others.slice(0, NAMED / 2)) : [])]
      : value.bad ? list("Farthest on the bad side in " + value.title, few)
        : [...list("Highest in " + value.title, few.slice(0, NAMED / 2)), ...list("Lowest in " + value.title, ordered.slice(-NAMED / 2).reverse())]));
  };

  let turn = 0;
  const draw = async () => {
    const now = state(), mine = ++turn, value = data.values[now.value], known = study.shown.filter(at => value.numbers[at] !== null);
    controls.view.value = now.view; controls.value.value = String(now.value); controls.against.value = String(now.against); controls.grouping.value = now.grouping;
    by("against-label").hidden = now.view !== "pair";
    by("grouping-label").hidden = now.view !== "groups" || data.sites.length === 1;
    meaning(value, now.view === "pair" ? data.values[now.against] : null);
    extremes(known, value);
    hide();
    const drawn = known.length ? VIEWS[now.view](known, value, now) : null;
    Object.keys(EMPTY).forEach(view => { by("figure-" + view).hidden = view !== now.view || !drawn; });
    const without = study.shown.length - known.length;
    by("legend-more").textContent = drawn ? [drawn.says, drawn.beyond ? drawn.beyond + " far outside, drawn at the border" : "", without ? without + " without this value" : ""].filter(Boolean).join("; ")
      : !study.shown.length ? "No scan fits the filters." : !known.length || now.view === "pair" ? "No scan shown here has this value."
        : "No scan shown here has a date of acquisition, so nothing can be drawn over time.";
    box.setAttribute("aria-label", "Plot of " + value.title + ", " + known.length + " scans");
    if (!drawn) { box.dataset.drawn = now.view; return; }
    const figure = figures[now.view] || await embed(now.view);
    if (mine !== turn) return;
    paint(figure, figure.model);
    figure.model.height = drawn.height;
    figure.x_range.setv({start: drawn.x[0], end: drawn.x[1], reset_start: drawn.x[0], reset_end: drawn.x[1]});
    figure.y_range.setv({start: drawn.y[0], end: drawn.y[1], reset_start: drawn.y[0], reset_end: drawn.y[1]});
    [[figure.model.below[0], drawn.titles[0]], [figure.model.left[0], drawn.titles[1]]].forEach(([axis, text]) => { axis.axis_label = new (Bokeh.Models.get("PlainText"))({text}); });
    figure.boxes.data = drawn.boxes || {left: [], right: [], top: [], bottom: []};
    figure.lines.data = drawn.lines;
    figure.words.data = drawn.words;
    figure.points.data = drawn.points;
    box.dataset.drawn = now.view;
    study.drawnAt = study.drawnAt || performance.now();
  };

  // ---- a point in words, under the pointer or the keys
  let touched = false, keyed = -1;
  box.addEventListener("pointerdown", event => { touched = event.pointerType === "touch"; }, true);
  const hide = () => { tip.hidden = true; keyed = -1; };
  study.figure = () => figures[state().view];
  study.pixel = nth => {
    const figure = study.figure(), frame = figure.root.frame, area = figure.root.canvas_view.el.getBoundingClientRect();
    return {x: area.left + frame.x_scale.compute(figure.points.data.x[nth]), y: area.top + frame.y_scale.compute(figure.points.data.y[nth])};
  };
  const show = (figure, nth) => {
    const at = figure.points.data.scan[nth], now = state(), value = data.values[now.value], link = document.createElement("a");
    const told = text => { const part = document.createElement("p"); part.textContent = text; return part; };
    link.href = study.page(at);
    link.textContent = study.name(at);
    const entries = [value, ...(now.view === "pair" ? [data.values[now.against]] : [])].map(entry => entry.title + " " + plain(entry.numbers[at]));
    const parts = [link, told(study.decision(at) + " – " + entries.join(", ")), told(study.site(at) + (data.acquired[at] === null ? "" : ", " + day(data.acquired[at])))];
    if (study.reasons(at).length) parts.push(told(study.reasons(at)[0]));
    tip.replaceChildren(...(data.pictures[at] ? [study.picture(at)] : []), ...parts);
    tip.hidden = false;
    const point = study.pixel(nth), size = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(point.x + 14, document.documentElement.clientWidth - size.width - 4)) + "px";
    tip.style.top = (point.y + 14 + size.height < window.innerHeight ? point.y + 14 : Math.max(4, point.y - size.height - 14)) + "px";
  };
  // a finger that leaves the screen leaves the words about its point
  box.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") hide(); });
  document.addEventListener("pointerdown", event => { if (!tip.contains(event.target) && !box.contains(event.target)) hide(); });
  window.addEventListener("scroll", () => { if (!tip.hidden && keyed < 0) hide(); }, {passive: true});
  box.addEventListener("keydown", event => {
    const figure = figures[state().view];
    if (!figure || by("figure-" + state().view).hidden) return;
    const {x, y, scan} = figure.points.data, order = scan.map((_, nth) => nth).sort((a, b) => (state().view === "groups" ? Math.round(y[b]) - Math.round(y[a]) : 0) || x[a] - x[b] || a - b);
    const at = order.indexOf(keyed), step = {ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: order.length - 1}[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = order[Math.max(0, Math.min(step, order.length - 1))];
      show(figure, next);
      keyed = next;
    } else if (event.key === "Enter" && keyed >= 0) location.href = study.page(scan[keyed]);
    else if (event.key === "Escape") hide();
  });

  // ---- dark and light; printing shows the small distributions instead
  const dress = () => { theme(); draw(); };
  DARK.addEventListener("change", dress);
  study.watchers.push(draw);
  dress();
})();
