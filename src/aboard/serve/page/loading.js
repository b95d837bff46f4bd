// Where the page's other scripts don't come, the page says why: without them it does nothing.

addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const mistake = document.createElement("p");
    mistake.setAttribute("role", "alert");
    mistake.append(
      "The server refused this page its scripts, or could not be reached. Behind a proxy it has " +
        `to know its address: aboard serve --public-origin ${location.origin}`,
    );
    document.getElementById("welcome")?.replaceChildren(mistake);
  },
  true, // such an event is of its script alone
);
