// a person's rating: kept by the browser, saved to and loaded from a file, sent nowhere
(() => {
  const form = $("rating-form"), status = $("rating-status"), comment = $("rating-comment"), rater = $("rating-rater");
  const {kind, version} = about.rating, home = "bidsqa-rating:" + about.bids_name + ":" + (about.image_sha256 || "").slice(0, 12);
  const all = name => Array.from(form.querySelectorAll("input[name=" + name + "]"));
  const names = name => all(name).map(one => one.value);
  const chosen = name => all(name).filter(one => one.checked).map(one => one.value);
  const say = (text, level = "") => { status.textContent = text; status.className = level; };
  let spent = 0, since = document.hidden ? null : performance.now(), rating = null;

  const seconds = () => spent + (since === null ? 0 : (performance.now() - since) / 1000);
  document.addEventListener("visibilitychange", () => {
    spent = seconds();
    since = document.hidden ? null : performance.now();
  });

  const collect = () => ({
    kind,
    schema_version: version,
    bids_name: about.bids_name,
    image_sha256: about.image_sha256,
    rater: rater.value.trim(),
    decision: chosen("decision")[0] || null,
    artifacts: chosen("artifact"),
    comment: comment.value,
    confidence: chosen("confidence").length ? Number(chosen("confidence")[0]) : null,
    seconds: Math.round(10 * seconds()) / 10,
    time: new Date().toISOString().slice(0, 19) + "Z",
    bidsqa: about.bidsqa,
    shown: {
      decision: about.decision,
      rules_version: about.rules_version,
      group_decision: about.group_decision || null,
    },
  });

  // what keeps a file from being a rating of this scan, as a sentence; empty where nothing does
  const text = (value, most) => typeof value === "string" && value.length <= most;
  const wrong = (found, draft) => {
    if (!found || typeof found !== "object" || Array.isArray(found) || found.kind !== kind) return "It is no rating saved from a page of bidsqa.";
    if (found.schema_version !== version) return "It was saved by another version of bidsqa, in a form that this page can't read.";
    if (!text(found.bids_name, 1000)) return "It doesn't say which scan it is of.";
    if (found.bids_name !== about.bids_name) return "It is a rating of " + found.bids_name.slice(0, 100) + ", not of this scan.";
    const decisions = names("decision"), artifacts = names("artifact"), sure = found.confidence;
    const fields = {
      decision: decisions.includes(found.decision) || (draft && found.decision === null),
      artifacts: Array.isArray(found.artifacts) && found.artifacts.every(one => artifacts.includes(one)),
      comment: text(found.comment, comment.maxLength),
      rater: text(found.rater, rater.maxLength),
      confidence: sure === null || (Number.isInteger(sure) && sure >= 0 && sure < names("confidence").length),
      seconds: Number.isFinite(found.seconds) && found.seconds >= 0,
      time: text(found.time, 40) && !Number.isNaN(Date.parse(found.time)),
      image_sha256: found.image_sha256 === null || text(found.image_sha256, 64),
    };
    const bad = Object.keys(fields).find(name => !fields[name]);
    if (bad) return "Its " + bad + " is none that a rating can have.";
    const known = Object.keys(collect());
    if (Object.keys(found).some(name => !known.includes(name))) return "It has fields that a rating doesn't have.";
    return "";
  };

  const show = found => {
    all("decision").forEach(one => { one.checked = one.value === found.decision; });
    all("artifact").forEach(one => { one.checked = found.artifacts.includes(one.value); });
    all("confidence").forEach(one => { one.checked = found.confidence !== null && Number(one.value) === found.confidence; });
    comment.value = found.comment;
    rater.value = found.rater;
    spent = found.seconds;
    since = document.hidden ? null : performance.now();
    rating = collect();
    rating.time = found.time;
    rating.seconds = found.seconds;
    form.classList.toggle("rated", found.decision !== null);
  };

  const change = () => {
    rating = collect();
    form.classList.toggle("rated", rating.decision !== null);
    const stored = keep(home, JSON.stringify(rating));
    keep("bidsqa-rater", rating.rater);
    if (stored) say("Kept in this browser.");
    else say("This browser keeps nothing for this page: save the rating as a file before you close it.", "caution");
  };
  form.addEventListener("input", event => { if (!["rating-keys", "rating-file"].includes(event.target.id)) change(); });

  const save = () => {
    rating = rating || collect();
    if (rating.decision === null) {
      say("Choose pass, review or fail first.", "caution");
      all("decision")[0].focus();
      return;
    }
    const who = rating.rater.replace(/[^a-zA-Z0-9]/g, "").slice(0, 30), link = make("a");
    const address = URL.createObjectURL(new Blob([JSON.stringify(rating, null, 2) + "\n"], {type: "application/json"}));
    link.href = address;
    link.download = about.bids_name.replace(/[^a-zA-Z0-9_-]/g, "").slice(0, 150) + (who ? "_rater-" + who : "") + "_rating.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    say("Saved as " + link.download + ".");
  };

  const load = async file => {
    let found = null, problem = "";
    if (file.size > 1e5) problem = "It is far too large for a rating.";
    else {
      try { found = JSON.parse(await file.text()); } catch { problem = "It is not JSON."; }
    }
    problem = problem || wrong(found, false);
    if (problem) { say("Nothing was loaded from this file. " + problem, "caution"); return; }
    show(found);
    const stored = keep(home, JSON.stringify(rating));
    const other = found.image_sha256 !== about.image_sha256 ? " It was given to another image of the same name." : "";
    say("Loaded" + (stored ? " and kept in this browser." : ".") + other, other ? "caution" : "");
  };

  $("rating-save").addEventListener("click", save);
  $("rating-load").addEventListener("click", () => $("rating-file").click());
  $("rating-file").addEventListener("change", event => {
    if (event.target.files.length) load(event.target.files[0]);
    event.target.value = "";
  });
  $("rating-clear").addEventListener("click", () => {
    if (rating && !window.confirm("Clear your rating of this scan in this browser?")) return;
    const who = rater.value;
    show({decision: null, artifacts: [], comment: "", confidence: null, rater: who, seconds: 0, time: ""});
    rating = null;
    keep(home, null);
    say("Cleared.");
  });

  all("decision").forEach((one, place) => keys.set(String(place + 1), () => one.click()));
  all("artifact").forEach(one => keys.set(one.dataset.key, () => one.click()));
  keys.set("c", () => comment.focus());
  keys.set("s", save);
  const surer = by => {
    const list = all("confidence"), now = list.findIndex(one => one.checked);
    list[Math.min(Math.max(now < 0 ? 2 : now + by, 0), list.length - 1)].click();
  };
  keys.set("+", () => surer(1));
  keys.set("-", () => surer(-1));
  const switched = $("rating-keys");
  switched.checked = kept("bidsqa-keys") !== "off";
  switched.addEventListener("change", () => keep("bidsqa-keys", switched.checked ? "on" : "off"));

  rater.value = (kept("bidsqa-rater") || "").slice(0, rater.maxLength);
  let before = null;
  try { before = JSON.parse(kept(home)); } catch { /* another's, or damaged: begin anew */ }
  if (before && !wrong(before, true)) {
    show(before);
    say("Your rating of " + before.time.slice(0, 10) + ", kept in this browser.");
  }
})();
