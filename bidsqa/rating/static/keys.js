// SPDX-License-Identifier: Apache-2.0
// The keyboard: nothing happens while the reader is typing, in a dialog, or holds a modifier.

const TYPING = "textarea, select, input[type=text]";

export function listen(act) {
  document.addEventListener("keydown", (event) => {
    const at = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Escape" && at.matches(TYPING)) {
      at.blur();
      document.getElementById("main").focus();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (at.matches(TYPING) || document.querySelector("dialog[open]")) return;
    // what has the focus keeps the keys that it needs itself
    if ((event.key === "Enter" || event.key === " ") && at.matches("button, a, summary, input")) return;
    if (event.key.startsWith("Arrow") && at.matches("input[type=range], input[type=radio]")) return;
    if (act(event)) event.preventDefault();
  });
}
