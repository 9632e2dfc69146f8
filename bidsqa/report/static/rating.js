// a person's rating: kept by the browser, saved to and loaded from a file, sent nowhere
(() => {
  const form = $("rating-form"), status = $("rating-status"), comment = $("rating-comment"), rater = $("rating-rater");
  const schema = about.rating, told = schema.properties, home = "bidsqa-rating:" + about.bids_name + ":" + (about.image_sha256 || "").slice(0, 12);
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
    kind: told.kind.const,
    schema_version: told.schema_version.const,
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

  // whether a value is what a part of the schema asks for; the words of JSON Schema that rating.schema.json uses
  const kindOf = value => value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  const fits = (part, value) => {
    const kind = kindOf(value), kinds = [].concat(part.type || kind);
    if (!kinds.includes(kind) && !(kind === "integer" && kinds.includes("number"))) return false;
    if ("const" in part && value !== part.const) return false;
    if (part.enum && !part.enum.includes(value)) return false;
    if (kind === "string") {
      const length = [...value].length;
      return length >= (part.minLength || 0) && length <= (part.maxLength ?? Infinity)
        && (part.format !== "date-time" || !Number.isNaN(Date.parse(value)));
    }
    if (typeof value === "number") return value >= (part.minimum ?? -Infinity) && value <= (part.maximum ?? Infinity);
    if (kind === "array") return value.every(one => fits(part.items, one)) && (!part.uniqueItems || new Set(value).size === value.length);
    if (kind === "object") return !unfit(part, value);
    return true;
  };
  // the first field of an object that its schema doesn't have, lacks or forbids; empty where all fit
  const unfit = (part, value) => Object.keys(value).find(name => !Object.hasOwn(part.properties, name))
    || part.required.find(name => !Object.hasOwn(value, name))
    || Object.keys(part.properties).find(name => Object.hasOwn(value, name) && !fits(part.properties[name], value[name])) || "";

  // what keeps a file from being a rating of this scan, as a sentence; empty where nothing does
  const wrong = (found, draft) => {
    if (kindOf(found) !== "object" || found.kind !== told.kind.const) return "It is no rating saved from a page of bidsqa.";
    if (found.schema_version !== told.schema_version.const) return "It was saved by another version of bidsqa, in a form that this page can't read.";
    if (!fits(told.bids_name, found.bids_name)) return "It doesn't say which scan it is of.";
    if (found.bids_name !== about.bids_name) return "It is a rating of " + found.bids_name.slice(0, 100) + ", not of this scan.";
    // a rating that was only begun has no decision yet
    const bad = unfit(schema, draft && found.decision === null ? {...found, decision: told.decision.enum[0]} : found);
    if (!bad) return "";
    if (!Object.hasOwn(told, bad)) return "It has fields that a rating doesn't have.";
    return Object.hasOwn(found, bad) ? "Its " + bad + " is none that a rating can have." : "It lacks its " + bad + ".";
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
