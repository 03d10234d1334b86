// Numbers, spans and instants as people read them. Instants are in the viewer's zone; the title says UTC.

import { h } from "./dom.js";

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A count in full: 1,234,567. */
export const count = (value) => (isNumber(value) ? whole.format(value) : NONE);

/** A count that has little room: 1.2M. */
export const compact = (value) => (!isNumber(value) ? NONE : Math.abs(value) < 1_000_000 ? whole.format(value) : short.format(value));

/** A rate or a statistic: the fewer digits before the point, the more after it. */
export function amount(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1_000_000) return short.format(value);
  if (size >= 1_000) return whole.format(value);
  if (size >= 10) return one.format(value);
  return String(Number(value.toPrecision(size < 1 ? 2 : 3)));
}

/** A rate, which changes all the time: no digit more than one can read. */
export const rate = (value) => (isNumber(value) && Math.abs(value) >= 100 ? compact(value) : amount(value));

/** [number, unit] of a span in milliseconds. */
export function spanParts(ms) {
  if (!isNumber(ms)) return [NONE, ""];
  const size = Math.abs(ms);
  if (size < 1) return [String(Number(ms.toPrecision(2))), "ms"];
  if (size < 1_000) return [size < 10 ? one.format(ms) : whole.format(ms), "ms"];
  if (size < 60_000) return [one.format(ms / 1_000), "s"];
  if (size < 3_600_000) return [one.format(ms / 60_000), "min"];
  if (size < 172_800_000) return [one.format(ms / 3_600_000), "h"];
  return [whole.format(ms / 86_400_000), "days"];
}

export const span = (ms) => spanParts(ms).join(" ").trim();

/** A span of a configuration: `5 s`, where a measured one is `5.0 s`. */
export const setting = (ms) => span(ms).replace(/\.0 /, " ");

export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1_024 && at < units.length - 1) [value, at] = [value / 1_024, at + 1];
  return `${at === 0 || value >= 100 ? whole.format(value) : one.format(value)} ${units[at]}`;
}

/** An instant; with its day if that is not today. */
export function instant(ms, now = Date.now()) {
  if (!isNumber(ms)) return NONE;
  const at = new Date(ms);
  const today = new Date(now);
  if (at.toDateString() === today.toDateString()) return clock.format(at);
  const date = at.getFullYear() === today.getFullYear() ? day : dayAndYear;
  return `${date.format(at)} ${clock.format(at)}`;
}

export const utc = (ms) => (isNumber(ms) && Math.abs(ms) <= 8.64e15 ? `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC` : "");

/** An instant as an element that says UTC when pointed at. */
export function time(ms) {
  if (!isNumber(ms) || Math.abs(ms) > 8.64e15) return h("span", null, NONE);
  return h("time", { datetime: new Date(ms).toISOString(), title: utc(ms) }, instant(ms));
}

/** From start to end, the day said once. */
export function period(startMs, endMs) {
  const from = instant(startMs);
  const same = new Date(startMs).toDateString() === new Date(endMs).toDateString();
  const to = same ? clock.format(new Date(endMs)) : instant(endMs);
  return h("time", { datetime: new Date(startMs).toISOString(), title: `${utc(startMs)} to ${utc(endMs)}` }, `${from} – ${to}`);
}

export const plural = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

export const zone = () => {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const part = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts().find(({ type }) => type === "timeZoneName");
  return `${name} (${part?.value ?? "local"})`;
};
