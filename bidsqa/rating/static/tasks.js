// SPDX-License-Identifier: Apache-2.0
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const link = document.querySelectorAll(".tasks a")[Number(event.key) - 1];
  if (link) link.click();
});
