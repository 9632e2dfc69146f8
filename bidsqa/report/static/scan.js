"use strict";
// what the parts of the page's script share
const $ = id => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const make = (tag, text = "", kind = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
// browsers can forbid a page to keep anything
const kept = key => { try { return localStorage.getItem(key); } catch { return null; } };
const keep = (key, value) => {
  try {
    if (value === null) localStorage.removeItem(key); else localStorage.setItem(key, value);
    return true;
  } catch { return false; }
};
document.querySelectorAll(".needs-script").forEach(part => { part.hidden = false; });

const keys = new Map();
const TYPING = "textarea, select, input:not([type=radio]):not([type=checkbox])";
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (!$("rating-keys").checked || event.target.closest(TYPING)) return;
  const act = keys.get(event.key.toLowerCase());
  if (act) { event.preventDefault(); act(); }
});
