// Runs before the page is drawn, so that it never flashes in the other colours.

(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("bsconv-nas-theme");
    } catch {
      return null; // a report opened from disk may have no storage
    }
  };
  const apply = () => (root.dataset.theme = stored() ?? (system.matches ? "dark" : "light"));
  apply();
  system.addEventListener("change", apply);
  window.toggleTheme = () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("bsconv-nas-theme", root.dataset.theme);
    } catch {
      // kept for this view only
    }
  };
})();
