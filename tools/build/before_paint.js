// What has to be known before a page is painted: its theme, and whether what is far down waits.
{
  const root = document.documentElement;
  const mode = localStorage.getItem("mode") || "auto";
  const isDark = mode === "dark" || (mode === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  Object.assign(root.dataset, { mode, theme: isDark ? "dark" : "light" });

  // A page that is new, and opened at its top, is laid out as a whole when the reader first moves in it.
  const isNew = performance.getEntriesByType("navigation")[0]?.type === "navigate";
  root.classList.toggle("sections-wait", isNew && !location.hash);
  const layOut = () => root.classList.remove("sections-wait");
  const layOutAroundWhatIsSeen = () => {
    const seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2) ?? root;
    const before = seen.getBoundingClientRect().top;
    layOut();
    const moved = seen.getBoundingClientRect().top - before;
    if (moved) scrollBy(0, moved);
  };
  addEventListener("scroll", layOutAroundWhatIsSeen, { once: true });
  addEventListener("keydown", layOut, { once: true });
}
