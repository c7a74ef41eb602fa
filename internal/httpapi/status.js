const show = (page) => {
  const next = new DOMParser().parseFromString(page, "text/html");
  // The announced part stays where it is, so that it is read out.
  const word = document.querySelector(".word");
  const now = next.querySelector(".word");
  word.className = now.className;
  word.innerHTML = now.innerHTML;
  while (word.nextSibling) word.nextSibling.remove();
  while (now.nextSibling) word.parentNode.append(now.nextSibling);
  document.title = next.title;
};
const unknown = () => {
  const word = document.querySelector(".word");
  word.className = "word";
  word.querySelector("svg")?.remove();
  word.querySelector("strong").textContent = "Not known: this page cannot be brought up to date";
  const last = word.querySelector("p");
  if (!last.dataset.last) last.textContent = "last known: " + last.textContent;
  last.dataset.last = "yes";
  document.title = "Not known – Status";
};
const look = async () => {
  try {
    const answer = await fetch(location.href, { cache: "no-cache" });
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.text());
  } catch {
    unknown();
  }
};
new EventSource("status/events").onmessage = look;
setInterval(look, 60000); // the stream may end for good, and nothing says so
