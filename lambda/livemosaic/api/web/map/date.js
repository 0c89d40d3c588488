/** Acquisition time of a scene, as text in UTC. */

const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

function formatted(scene, format, zone) {
  const text = scene.properties?.datetime;
  const time = new Date(text ?? NaN);
  return Number.isNaN(time.valueOf()) ? String(text ?? "no date") : format.format(time) + zone;
}

export const day = (scene) => formatted(scene, DAY, "");

export const minute = (scene) => formatted(scene, MINUTE, " UTC");
