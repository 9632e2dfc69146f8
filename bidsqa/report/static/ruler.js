// looking at a ruler: show one version after the other, choose a threshold, save it as a file; nothing is sent anywhere
(() => {
  "use strict";
  const $ = id => document.getElementById(id), about = JSON.parse($("about").textContent);
  const thumbs = Array.from(document.querySelectorAll(".thumb")), slider = $("threshold"), by = $("set-by"), saved = $("saved");
  const last = thumbs.length - 1, home = "bidsqa-ruler:" + about.ruler + ":" + about.sha256.slice(0, 12);
  let shown = last, touched = false;

  // a page opened from a file may have no storage
  const kept = key => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* then it isn't kept */ } };
  const threshold = () => Number(slider.value);
  const quoted = text => "'" + text.replace(/'/g, "'\\''") + "'";
  const fileName = () => about.ruler.replace(/[^a-zA-Z0-9_-]/g, "").slice(0, 64) + "_threshold.json";

  const show = version => {
    shown = Math.min(last, Math.max(0, version));
    const image = thumbs[shown].querySelector("img"), passes = shown >= threshold();
    $("seen").src = image.src;
    $("seen").alt = "Version " + shown;
    $("seen-name").textContent = "Version " + shown + (shown === 0 ? " (worst)" : shown === last ? " (the original)" : "");
    $("seen-word").textContent = passes ? "accepted" : "not accepted";
    $("seen-symbol").textContent = passes ? "✓" : "✕";
    $("seen-symbol").parentElement.className = "mark-wrap " + (passes ? "pass" : "fail");
    thumbs.forEach((one, at) => {
      one.setAttribute("aria-current", String(at === shown));
      one.classList.toggle("accepted", at >= threshold());
      one.classList.toggle("refused", at < threshold());
    });
  };

  const words = value => {
    const first = Math.ceil(value), half = value !== first;
    const accepts = first === last ? "Version " + last + " alone passes" : first === 0 ? "All versions pass" : "Versions " + first + " to " + last + " pass";
    return accepts + (half ? "; a scan between " + (first - 1) + " and " + first + " passes from half way." : first > 0 ? "; a scan a little worse than version " + first + " doesn't." : ".");
  };

  const told = () => {
    const value = threshold(), name = by.value.trim();
    $("choice-value").textContent = String(value);
    $("choice-words").textContent = (touched || about.set ? "" : "Set by an automatic rule, no human, so far. ") + words(value);
    $("command").textContent = about.command + " " + value + (name ? " --by " + quoted(name) : "") + about.into;
    $("command-file").textContent = about.command + " --from " + fileName() + about.into;
    slider.setAttribute("aria-valuetext", String(value) + ", " + words(value));
    show(shown);
  };

  const choose = value => {
    slider.value = String(Math.min(last, Math.max(0, value)));
    touched = true;
    keep(home, slider.value);
    saved.textContent = "";
    told();
  };

  const save = () => {
    const choice = {kind: about.kind, version: about.version, ruler: about.ruler, sha256: about.sha256, threshold: threshold(),
      set_by: by.value.trim(), set_on: new Date().toISOString().slice(0, 10)};
    const link = document.createElement("a");
    const address = URL.createObjectURL(new Blob([JSON.stringify(choice, null, 2) + "\n"], {type: "application/json"}));
    link.href = address;
    link.download = fileName();
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    saved.textContent = "Saved as " + link.download + ". The second command below puts it into the ruler.";
  };

  const zoom = () => {
    const large = $("zoom").getAttribute("aria-pressed") !== "true", image = $("seen");
    $("zoom").setAttribute("aria-pressed", String(large));
    image.parentElement.classList.toggle("large", large);
    image.style.width = large ? 3 * image.naturalWidth + "px" : "";
    image.style.height = large ? "auto" : "";
  };

  thumbs.forEach((one, at) => one.addEventListener("click", () => show(at)));
  slider.addEventListener("input", () => choose(Number(slider.value)));
  by.addEventListener("input", () => { keep("bidsqa-rater", by.value); told(); });
  $("stricter").addEventListener("click", () => choose(threshold() + about.step));
  $("milder").addEventListener("click", () => choose(threshold() - about.step));
  $("here").addEventListener("click", () => choose(shown));
  $("save").addEventListener("click", save);
  $("zoom").addEventListener("click", zoom);
  document.addEventListener("keydown", event => {
    const typing = event.target === by, onSlider = event.target === slider;
    if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key;
    if (key === "ArrowLeft" && !onSlider) show(shown - 1);
    else if (key === "ArrowRight" && !onSlider) show(shown + 1);
    else if (/^[0-7]$/.test(key)) show(Number(key));
    else if (key === "+" || key === "=") choose(threshold() + about.step);
    else if (key === "-" || key === "−") choose(threshold() - about.step);
    else if (key === "a" || key === "A") choose(shown);
    else if (key === "s" || key === "S") save();
    else if (key === "z" || key === "Z") zoom();
    else return;
    event.preventDefault();
  });

  by.value = kept("bidsqa-rater") || "";
  const before = Number(kept(home));
  if (kept(home) !== null && before >= 0 && before <= last && Number.isInteger(2 * before)) {
    slider.value = String(before);
    touched = true;
    if (!about.set || before !== about.threshold) saved.textContent = "Your choice of " + before + " was kept by this browser; it isn't in the ruler before you save or set it.";
  }
  document.querySelectorAll(".needs-script").forEach(part => { part.hidden = false; });
  told();
})();
