// Asks the gateway. A session that is over sends the page back to where one signs in.

export class Refused extends Error {}

export async function ask(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused("The gateway does not answer.");
  }
  if (answer.status === 401) {
    location.assign("/ops");
    throw new Refused("Signed out.");
  }
  const content = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Refused(content.detail ?? `The gateway says ${answer.status}.`);
  return content;
}
