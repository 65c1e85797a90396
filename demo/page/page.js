// An ordinary frontend: it logs in, keeps what came back as "token", and sends it as a bearer.
// It would be the same without the gateway, but then it would hold the JWT.
"use strict";

const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

let key = null;

const at = (id) => document.getElementById(id);

function say(id, text, good) {
  at(id).textContent = text;
  at(id).className = "verdict " + (good ? "good" : "bad");
  at(id).closest(".result").hidden = false;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key !== null) headers.Authorization = "Bearer " + key;
  const answer = await fetch(path, { ...options, headers });
  const text = await answer.text();
  let data = null;
  try { data = JSON.parse(text); } catch { /* shown as it came */ }
  return { status: answer.status, text, data };
}

async function logIn(event) {
  event.preventDefault();
  key = null;
  const { status, text, data } = await ask("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: at("username").value, password: at("password").value }),
  });
  at("login-reply").textContent = text;
  if (status !== 200) {
    say("verdict", `${status}: the backend says no, and its answer came through as it was.`, false);
    return;
  }
  key = data.token;
  const good = !JWT.test(key);
  say("verdict", good ? `The token is a key of ${key.length} characters, not a JWT.`
                      : "The token is a JWT: this is not the gateway.", good);
}

async function call(event) {
  const path = event.target.dataset.path;
  const { status, text, data } = await ask(path);
  at("sent").textContent = key === null ? "no Authorization" : "Authorization: Bearer " + key;
  at("seen").textContent = data && data.authorization_seen
    ? "Authorization: " + data.authorization_seen
    : status === 200 ? "no Authorization" : "nothing: the request ended at the gateway";
  at("call-reply").textContent = text;
  const who = data && data.claims ? ` as ${data.claims.sub}` : "";
  say("call-verdict", `GET ${path}: ${status}${who}`, status === 200);
  if (event.target.id === "again") {
    say("logout-verdict", status === 401 ? "401: the key is refused, at once."
                                         : `${status}: the key is still good.`, status === 401);
  }
}

async function logOut() {
  const { status } = await ask("/logout", { method: "POST" });
  // The key is kept on purpose, to show that it opens nothing any more.
  say("logout-verdict", `POST /logout: ${status}. The session is gone; now try the old key.`, status === 204);
}

at("login").addEventListener("submit", logIn);
at("logout").addEventListener("click", logOut);
for (const button of document.querySelectorAll("button.call")) button.addEventListener("click", call);
for (const button of document.querySelectorAll("button.user")) {
  button.addEventListener("click", () => {
    at("username").value = button.textContent;
    at("password").value = button.dataset.password;
  });
}
