// Numbers and times as people read them; "–" is what is not known.

const NONE = "–";
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayTime = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (known(value) ? whole.format(value) : NONE);
export const number = (value) => (known(value) ? (Math.abs(value) >= 1000 ? whole : short).format(value) : NONE);
export const percent = (ratio) => (known(ratio) ? `${short.format(ratio * 100)} %` : NONE);
export const milliseconds = (ms) => (known(ms) ? `${short.format(ms)} ms` : NONE);
export const seconds = (s) => (known(s) ? milliseconds(s * 1000) : NONE);
export const time = (text) => (text ? clockTime.format(new Date(text)) : NONE);
export const moment = (text) => (text ? dayTime.format(new Date(text)) : NONE);

export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(1024))) : 0;
  return `${short.format(value / 1024 ** power)} ${units[power]}`;
}

// An amount of a currency's minor units.
export function money(minor, currency) {
  try {
    const form = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return form.format(minor / 10 ** form.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${minor} ${currency}`;
  }
}

export const spelled = (name) => name.replaceAll("_", " ");
