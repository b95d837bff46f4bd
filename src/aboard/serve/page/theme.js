// Light or dark: as the system has it, until the user chooses. Not a module, so that it runs before
// the page is drawn.

{
  const NAME = "aboard.theme";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;

  // A browser may forbid the page to keep anything.
  try {
    const chosen = localStorage.getItem(NAME);
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch {}

  document.addEventListener("DOMContentLoaded", () => {
    const toggle = document.getElementById("theme");
    if (!toggle) return;
    const tell = () => toggle.setAttribute("aria-pressed", String(isDark()));
    toggle.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(NAME, root.dataset.theme);
      } catch {}
      tell();
    });
    dark.addEventListener("change", tell);
    tell();
  });
}
