const events = new EventSource("status/events");
events.onmessage = async () => {
  const answer = await fetch(location.href, { cache: "no-cache" });
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(next.querySelector("main"));
  document.title = next.title;
};
