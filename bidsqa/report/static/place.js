// the scan's place among the study's scans, once the group level has told it
(() => {
  let told = null;
  try { told = JSON.parse($("cohort").textContent); } catch { /* half written: as if nothing were told */ }
  if (!told || typeof told !== "object") return;
  const SIGNS = {pass: "✓", review: "?", fail: "✕"};
  const odd = Array.isArray(told.outliers) ? told.outliers : [];
  const suffix = String(told.suffix || "");

  // of the other scans; equal ones count half
  const share = (below, equal, count) => 100 * (below + equal / 2) / (count - 1);
  const say = (below, equal, count, what) => {
    if (equal === count - 1) return "the same in all " + count + what;
    if (equal > count / 2) return "the same as " + equal + " of the " + (count - 1) + " other" + what;
    const end = below === 0 ? "lowest of " : below + equal === count - 1 ? "highest of " : "";
    if (end) return end + count + what + (equal ? ", with " + equal + " more" : "");
    const percent = Math.round(share(below, equal, count));
    return "higher than " + Math.min(Math.max(percent, 1), 99) + " % of " + count + what;
  };
  const bar = (below, equal, count) => {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg"), x = 2 + 0.6 * share(below, equal, count);
    picture.setAttribute("viewBox", "0 0 64 12");
    picture.setAttribute("aria-hidden", "true");
    for (const [kind, path] of [["track", "M2 6H62M2 3V9M32 4V8M62 3V9"], ["here", "M" + x + " 1V11"]]) {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("d", path);
      line.setAttribute("class", kind);
      picture.append(line);
    }
    return picture;
  };
  const fine = list => Array.isArray(list) && list.length >= 3 && list.every(one => Number.isInteger(one) && one >= 0)
    && list[2] > 1 && list[0] + list[1] < list[2];
  let any = 0;
  const fillIn = (element, key, list) => {
    if (!fine(list)) return;
    const [below, equal, count, ...site] = list;
    const others = " " + suffix + " scans" + (key === "noise_motion" ? " read on the same ruler" : "");
    element.append(bar(below, equal, count), " " + say(below, equal, count, others));
    if (site.length === 3 && fine(site)) element.append("; at its site " + say(site[0], site[1], site[2], ""));
    if (odd.includes(key)) element.append(" ", make("strong", "★ stands out at its site"));
    element.hidden = false;
    any += 1;
  };
  const values = told.values && typeof told.values === "object" ? told.values : {};
  document.querySelectorAll("p.place").forEach(element => fillIn(element, element.dataset.key, values[element.dataset.key]));
  document.querySelectorAll(".metrics tr[data-key]").forEach(row => {
    const element = make("div", "", "place");
    element.hidden = true;
    row.cells[row.cells.length - 1].append(element);
    fillIn(element, row.dataset.key, values[row.dataset.key]);
  });
  if (any) {
    $("places-help").textContent = "Bars show the place among the study's scans, from the lowest at the left to the highest at the right, as of the last group run.";
    $("places-help").hidden = false;
  }

  if (!Object.hasOwn(SIGNS, told.decision) || told.decision === about.decision) return;
  about.group_decision = told.decision;
  const note = $("group-note"), here = $("verdict").textContent;
  const news = (Array.isArray(told.reasons) ? told.reasons : []).map(String).filter(text => text && !here.includes(text));
  const own = told.rules && told.rules !== about.rules_version;
  const why = (own ? "By the study's rules " + told.rules : "Compared with the study's other scans") + " this is a " + told.decision;
  const sign = make("span", SIGNS[told.decision], "symbol");
  sign.setAttribute("aria-hidden", "true");
  note.classList.add(told.decision);
  note.append(sign, make("strong", why + (news.length ? ":" : ".")));
  $("headline").textContent = "Judged by itself: " + $("headline").textContent;
  if (news.length) {
    const list = make("ul");
    news.slice(0, 5).forEach(text => list.append(make("li", text)));
    note.append(list);
  } else if (odd.length) {
    note.append(" Stands out at its site in " + odd.join(", ") + ".");
  }
  note.hidden = false;
})();
