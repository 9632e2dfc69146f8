"use strict";
// The table, the filters and the gallery; the plots listen to what is shown (study_plots.js).
(() => {
  const by = id => document.getElementById(id);
  const data = JSON.parse(by("data").textContent);
  const table = by("table"), body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const links = rows.map(row => row.cells[0].firstElementChild);
  const firstReason = rows.map(row => { const told = row.cells[2].firstElementChild; return told ? told.textContent : ""; });
  const DECISIONS = ["fail", "review", "pass"];
  const CARDS = 12, MORE = 48, ROWS = 100, MORE_ROWS = 400;
  const chief = data.values.filter(value => value.chief);
  document.querySelectorAll(".needs-script").forEach(part => { part.hidden = false; });

  const study = window.study = {
    data, state: {}, shown: rows.map((_, at) => at), watchers: [],
    name: at => links[at].textContent,
    page: at => links[at].getAttribute("href"),
    decision: at => rows[at].dataset.decision,
    site: at => data.sites[data.site[at]],
    suffix: at => data.suffixes[data.suffix[at]],
    reasons: at => [firstReason[at], ...(data.reasons[at] || [])].filter(Boolean),
    odd: at => data.outliers[at] || [],
    set(change) { Object.assign(study.state, change); remember(); apply(change); },
  };

  // says so where columns are hidden, and only there
  const box = table.parentElement, sideways = by("sideways");
  const look = () => { sideways.hidden = table.scrollWidth <= box.clientWidth; };
  window.addEventListener("resize", look);

  // ---- what is shown, kept behind the address' # so that a view can be sent on
  const FILTERS = ["find", "decision", "suffix", "site", "odd"], MARK = "#view:";
  const recall = () => {
    const told = location.hash.startsWith(MARK) ? new URLSearchParams(location.hash.slice(MARK.length)) : new URLSearchParams();
    study.state = Object.fromEntries(told);
    [["suffix", data.suffixes], ["site", data.sites], ["decision", DECISIONS]].forEach(([key, known]) => {
      if (!known.includes(study.state[key])) delete study.state[key];
    });
  };
  const remember = () => {
    const kept = Object.entries(study.state).filter(pair => pair[1]);
    const hash = kept.length ? MARK + new URLSearchParams(kept) : "";
    try { history.replaceState(null, "", hash || location.pathname + location.search); } catch { location.hash = hash; }
  };
  // links within the page scroll and leave the address alone, or it would forget what is shown
  document.querySelectorAll('nav a[href^="#"]').forEach(link => link.addEventListener("click", event => {
    const target = by(link.getAttribute("href").slice(1));
    event.preventDefault();
    target.tabIndex = -1;
    target.focus({preventScroll: true});
    target.scrollIntoView();
  }));

  let texts = null;
  const filter = () => {
    const state = study.state, words = (state.find || "").toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !texts) texts = rows.map((_, at) => [study.name(at), ...study.reasons(at)].join(" ").toLowerCase());
    const site = state.site ? data.sites.indexOf(state.site) : -1;
    const suffix = state.suffix ? data.suffixes.indexOf(state.suffix) : -1;
    study.shown = [];
    rows.forEach((row, at) => {
      const kept = (!state.decision || row.dataset.decision === state.decision)
        && (site < 0 || data.site[at] === site) && (suffix < 0 || data.suffix[at] === suffix)
        && (!state.odd || study.odd(at).length > 0) && words.every(word => texts[at].includes(word));
      if (kept) study.shown.push(at);
    });
    limit = ROWS;
    lines();
  };

  // ---- the table: laying out thousands of rows takes a browser long, so only the first are there until more are asked for
  let order = rows.map((_, at) => at), limit = 0;
  const further = by("more-rows");
  const lines = () => {
    const shown = new Set(study.shown);
    let left = 0, count = 0;
    order.forEach(at => {
      const kept = shown.has(at) && count < limit;
      if (rows[at].hidden === kept) rows[at].hidden = !kept;
      count += kept;
      left += shown.has(at) && !kept;
    });
    further.hidden = left === 0;
    further.textContent = "Show " + Math.min(left, MORE_ROWS) + " more of " + left + " rows";
    look();
  };
  further.addEventListener("click", () => { limit += MORE_ROWS; lines(); });
  window.addEventListener("beforeprint", () => { limit = Infinity; lines(); });
  window.addEventListener("afterprint", () => { limit = ROWS; lines(); });

  // ---- counts
  const share = (count, total) => {
    const found = total ? 100 * count / total : 0;
    return found > 0 && found < 1 ? "<1" : found > 99 && found < 100 ? ">99" : found.toFixed(0);
  };
  const count = () => {
    const total = study.shown.length, all = [0, 0, 0];
    const tables = [["suffix-counts", data.suffix, data.suffixes], ["site-counts", data.site, data.sites]]
      .map(([id, places, names]) => ({id, places, found: names.map(() => [0, 0, 0])}));
    study.shown.forEach(at => {
      const decision = DECISIONS.indexOf(rows[at].dataset.decision);
      all[decision] += 1;
      tables.forEach(part => { part.found[part.places[at]][decision] += 1; });
    });
    DECISIONS.forEach((name, place) => {
      const tile = document.querySelector(".tiles ." + name);
      tile.querySelector("strong").textContent = all[place];
      tile.querySelector(".share").textContent = share(all[place], total);
    });
    tables.forEach(part => Array.from(by(part.id).tBodies[0].rows).forEach((row, place) => {
      const found = part.found[place], sum = found[0] + found[1] + found[2];
      [...found, sum].forEach((number, column) => { row.cells[column + 1].textContent = number; });
      row.hidden = sum === 0;
    }));
    const some = total !== rows.length;
    by("shown").textContent = some ? total + " of " + rows.length + " scans shown" : total === 1 ? "1 scan shown" : "all " + total + " scans shown";
    by("everything").hidden = !some;
  };

  // ---- gallery: cards are made when they are asked for
  const list = by("pictures"), more = by("more"), made = new Map();
  document.querySelectorAll("#worst li").forEach(card => made.set(Number(card.dataset.scan), card));
  by("worst").hidden = true;
  const element = (kind, name, text) => {
    const found = document.createElement(kind);
    if (name) found.className = name;
    if (text !== undefined) found.textContent = text;
    return found;
  };
  const pictured = data.pictures.some(Boolean);
  const placeholder = text => element("span", "nopicture", text);
  study.picture = at => {
    if (!data.pictures[at]) return placeholder("no picture");
    const picture = element("img");
    picture.loading = "lazy";
    picture.alt = "Middle slices of " + study.name(at);
    picture.addEventListener("error", () => picture.replaceWith(placeholder("the picture lies in the output folder, not in this page")));
    picture.src = data.pictures[at];
    return picture;
  };
  const card = at => {
    if (made.has(at)) return made.get(at);
    const found = element("li", study.decision(at)), link = element("a"), chips = element("div", "chips");
    link.href = study.page(at);
    if (pictured) link.append(study.picture(at));
    link.append(element("span", "name", study.name(at)));
    chips.append(rows[at].cells[1].firstElementChild.cloneNode(true));
    const reasons = study.reasons(at);
    new Set(reasons.filter(text => text.includes(":")).map(text => text.split(":")[0].trim()))
      .forEach(word => { if (word.length <= 40) chips.append(element("span", "chip", word)); });
    found.append(link, chips);
    if (reasons.length) found.append(element("p", "", reasons[0]));
    made.set(at, found);
    return found;
  };
  let laid = 0;
  const lay = amount => {
    const until = Math.min(laid + amount, study.shown.length), part = document.createDocumentFragment();
    for (; laid < until; laid += 1) part.append(card(study.shown[laid]));
    list.append(part);
    const left = study.shown.length - laid;
    more.hidden = left === 0;
    more.textContent = "Show " + Math.min(left, MORE) + " more of " + left;
  };
  const gallery = () => {
    list.replaceChildren();
    laid = 0;
    lay(CARDS);
    if (!study.shown.length) list.append(element("li", "", "No scan fits these filters."));
  };
  more.addEventListener("click", () => {
    const next = study.shown[laid];
    lay(MORE);
    card(next).querySelector("a").focus({preventScroll: true});
  });

  // ---- the list of what is shown
  const clean = text => text.replace(/[\t\r\n]+/g, " ");
  study.tsv = () => [["bids_name", "suffix", "site", "decision", "reasons"],
    ...study.shown.map(at => [study.name(at), study.suffix(at), study.site(at), study.decision(at), study.reasons(at).join("; ")])]
    .map(cells => cells.map(clean).join("\t") + "\n").join("");
  const copy = async (button, text) => {
    const label = button.textContent;
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch {
      const box = element("textarea");
      box.value = text;
      document.body.append(box);
      box.select();
      done = document.execCommand("copy");
      box.remove();
      button.focus();
    }
    button.textContent = done ? "Copied" : "The browser forbids it";
    setTimeout(() => { button.textContent = label; }, 1500);
  };
  by("copy").addEventListener("click", event => copy(event.currentTarget, study.tsv()));
  by("link").addEventListener("click", event => copy(event.currentTarget, location.href));
  by("download").addEventListener("click", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([study.tsv()], {type: "text/tab-separated-values"}));
    link.download = "scans.tsv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // ---- sorting: a column's keys are read once, when it is first asked for
  const keys = new Map();
  const keysOf = (column, kind) => {
    if (!keys.has(column)) {
      keys.set(column, kind === "order" ? rows.map((_, at) => at)
        : kind === "text" ? rows.map(row => row.cells[column].textContent.trim())
          : numbersOf(heads[column].textContent).map(value => value === null ? NaN : value));
    }
    return keys.get(column);
  };
  const numbersOf = title => {
    const value = chief.find(entry => entry.title === title);
    return value ? value.numbers : rows.map(() => null);
  };
  const collator = new Intl.Collator("en", {numeric: true});
  const sortBy = (column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const values = keysOf(column, head.dataset.kind), sign = up ? 1 : -1;
    const compare = head.dataset.kind === "text"
      ? (a, b) => sign * collator.compare(values[a], values[b]) || a - b
      // missing values stay at the end in both directions
      : (a, b) => (isNaN(values[a]) - isNaN(values[b])) || sign * (values[a] - values[b]) || a - b;
    const all = document.createDocumentFragment();
    order = rows.map((_, place) => place).sort(compare);
    order.forEach(place => all.appendChild(rows[place]));
    body.appendChild(all);
    lines();
  };
  heads.forEach((head, column) => {
    const button = element("button", "", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => sortBy(column, head));
  });

  // ---- controls
  const controls = [["find", "find", "input"], ["decision", "by-decision", "change"], ["suffix", "by-suffix", "change"],
    ["site", "by-site", "change"], ["odd", "by-odd", "change"]].map(([key, id, event]) => [key, by(id), event]).filter(part => part[1]);
  const reflect = () => controls.forEach(([key, control]) => {
    if (control.type === "checkbox") control.checked = Boolean(study.state[key]);
    else control.value = study.state[key] || "";
  });
  controls.forEach(([key, control, event]) => control.addEventListener(event, () => {
    study.set({[key]: control.type === "checkbox" ? (control.checked ? "1" : "") : control.value});
  }));
  by("everything").addEventListener("click", () => {
    study.set(Object.fromEntries(FILTERS.map(key => [key, ""])));
    reflect();
    by("find").focus();
  });
  const apply = change => {
    if (Object.keys(change).some(key => FILTERS.includes(key))) { filter(); count(); gallery(); }
    study.watchers.forEach(watch => watch());
  };
  const restore = () => { recall(); reflect(); apply({find: true}); };
  window.addEventListener("hashchange", () => { if (!location.hash || location.hash.startsWith(MARK)) restore(); });
  restore();
})();
