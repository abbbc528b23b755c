// Signs in: the key goes into a header of one request, and is kept nowhere.

const form = document.getElementById("form");
const key = document.getElementById("key");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const secret = key.value.trim();
  if (!/^sk_(test|live)_[0-9A-Za-z]{32}$/.test(secret)) {
    tell("That is no key: one begins with sk_test_ or sk_live_.");
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/ops/session", {
      method: "POST", headers: { authorization: `Bearer ${secret}` }, credentials: "same-origin",
    });
    if (answer.ok) {
      key.value = "";
      location.assign("/ops");
      return;
    }
    tell((await answer.json()).detail);
  } catch {
    tell("The gateway does not answer.");
  } finally {
    button.disabled = false;
  }
});

function tell(text) {
  problem.textContent = text;
  key.setAttribute("aria-invalid", "true");
  key.focus();
}
