// Light or dark: as the system has it, unless a person says otherwise.

const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };

function kept() {
  try {
    return localStorage.getItem("ignite-theme");
  } catch {
    return null; // Storage may be forbidden; then it is not remembered.
  }
}

function keep(theme) {
  try {
    localStorage.setItem("ignite-theme", theme);
  } catch {
    // As above.
  }
}

/** Makes the button change the theme. */
export function begin(button) {
  let theme = ORDER.includes(kept()) ? kept() : "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `${NAMES[theme]} theme`;
  };
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    keep(theme);
    show();
  });
  show();
}
