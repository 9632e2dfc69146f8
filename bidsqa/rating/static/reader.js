// SPDX-License-Identifier: Apache-2.0
const form = document.getElementById("reader");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const status = document.getElementById("status");
  try {
    const reply = await fetch("/reader", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: form.elements.name.value }),
    });
    if (reply.ok) window.location.assign("/");
    else status.textContent = reply.status === 403 ? "This address is closed." : (await reply.json()).error;
  } catch {
    status.textContent = "bidsqa-rate doesn't answer. Is it still running?";
  }
});
