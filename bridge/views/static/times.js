// Shows each time in the reader's own zone, and says which; without scripts it stays in UTC, and says so.
for (const element of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(element.dateTime);
  element.title = element.dateTime;
  element.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
for (const note of document.querySelectorAll("#zone")) {
  note.textContent = `Times are in your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
}
