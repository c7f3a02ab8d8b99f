// Fetches a part of a page again while something is under way. An element says where from and how often:
//   <section data-live="/dashboard/..." data-every="2">. It ends when the part that came no longer says data-live.
(() => {
  const follow = (element) => {
    const seconds = Number(element.dataset.every || 3);
    setTimeout(async () => {
      if (!element.isConnected) return;
      if (document.hidden) return follow(element);
      try {
        const reply = await fetch(element.dataset.live, { headers: { "x-live": "1" }, credentials: "same-origin" });
        if (reply.status === 401) return location.reload();
        if (!reply.ok) return follow(element);
        const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").body.firstElementChild;
        if (!fresh) return;
        if (!element.contains(document.activeElement) || document.activeElement === document.body) element.replaceWith(fresh);
        else element = fresh.dataset.live ? element : (element.replaceWith(fresh), fresh);
        if ((element.isConnected ? element : fresh).dataset.live) follow(element.isConnected ? element : fresh);
      } catch {
        follow(element);
      }
    }, seconds * 1000);
  };
  document.querySelectorAll("[data-live]").forEach(follow);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1500);
    } catch { /* the text stands beside the button to be selected by hand */ }
  });
})();
