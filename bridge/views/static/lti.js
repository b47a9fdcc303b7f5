// What only a page can do for an LTI launch: ask the platform's storage, say that a registration is done, send an answer.
// https://www.imsglobal.org/spec/lti-pm-s/v0p1 - answers count only from the platform's own origin.
const STORAGE_MILLISECONDS = 1000;
const platform = window.opener || window.parent;

function framed(name) {
  try {
    return !name || name === "_parent" ? platform : platform.frames[name] || platform;
  } catch {
    return platform; // another origin's window tells its frames to nobody
  }
}

function ask(target, origin, subject, content) {
  return new Promise((resolve) => {
    const id = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
    const listen = (event) => {
      if (event.origin === origin && event.data?.message_id === id && event.data.subject === `${subject}.response`) {
        done(event.data);
      }
    };
    const done = (found) => {
      window.removeEventListener("message", listen);
      clearTimeout(late);
      resolve(found);
    };
    const late = setTimeout(() => done(null), STORAGE_MILLISECONDS);
    window.addEventListener("message", listen);
    target.postMessage({ subject, message_id: id, ...content }, origin);
  });
}

const element = document.querySelector("[data-lti]");
const { lti, origin, key, value, frame, next } = element.dataset;
switch (lti) {
  case "store":
    ask(framed(frame), origin, "lti.put_data", { key, value }).then(() => location.replace(next));
    break;
  case "prove":
    ask(framed(frame), origin, "lti.get_data", { key }).then((found) => {
      element.elements.browser.value = typeof found?.value === "string" ? found.value : "";
      element.submit(); // without an answer too: from our own site the cookie may come along
    });
    break;
  case "close":
    platform.postMessage({ subject: "org.imsglobal.lti.close" }, origin);
    break;
  case "submit":
    element.submit();
    break;
}
