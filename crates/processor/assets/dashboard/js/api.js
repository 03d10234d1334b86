// Requests to the server of this page. Paths are relative, so that a proxy may put the page below a path of its own.

const PATIENCE_MS = 8_000;

export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

async function ask(path, accepts) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (answer.ok || accepts.includes(answer.status)) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.error ?? `${path}: ${answer.status}`);
}

/** JSON; answers with one of the statuses `accepts` are answers too. */
export const json = async (path, accepts = []) => (await ask(path, accepts)).json();

export const text = async (path) => (await ask(path, [])).text();

/** `path` with those of `parameters` that are set. */
export function withQuery(path, parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}
