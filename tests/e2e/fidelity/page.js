// What happens on the page, by the name of the moment that follows it; each is there when its promise is kept.
const $ = (selector) => document.querySelector(selector);

const host = $("#host").attachShadow({ mode: "open" });
host.innerHTML = `<style>i { color: var(--accent) }</style>
  <p>In the <i>shadow</i></p><slot name="kept"></slot><div id="inner"></div>`;
const inner = host.querySelector("#inner").attachShadow({ mode: "open" });
inner.innerHTML = "<p>deeper still</p>";
for (let number = 1; number <= 30; number++) $("#list").append(element("li", `Lamp ${number}`));
const drawing = $("#plain").getContext("2d");
drawing.fillStyle = "seagreen";
drawing.fillRect(10, 10, 40, 40);

window.happenings = {
  async opened() {},
  async typed() {
    $("#gift").click();
    $("#fetch").click();
    $("#size").value = "large";
    $("#size").dispatchEvent(new Event("change", { bubbles: true }));
    $("#more").open = true;
    $("#done").value = 7;
    $("#send").disabled = true;
  },
  async shadowed() {
    host.querySelector("i").textContent = "deep shadow";
    host.append(element("p", "added below"));
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("p { letter-spacing: 2px; color: navy }");
    inner.adoptedStyleSheets = [sheet];
    sheet.insertRule("p { text-decoration: underline }");
    inner.querySelector("p").textContent = "deeper and changed";
  },
  async framed() {
    $("#written").contentDocument.querySelector("#inside").textContent = "Written twice";
    $("#loaded").contentDocument.querySelector("em").insertAdjacentHTML("afterend", " <b>and more</b>");
  },
  async drawn() {
    drawing.fillStyle = "crimson";
    drawing.beginPath();
    drawing.arc(85, 30, 22, 0, 7);
    drawing.fill();
    drawing.strokeRect(2.5, 2.5, 115, 55);
    const deep = $("#deep").getContext("webgl", { antialias: false });
    const paint = () => {
      deep.clearColor(0.2, 0.4, 0.8, 1);
      deep.clear(deep.COLOR_BUFFER_BIT);
      requestAnimationFrame(paint);
    };
    if (deep) paint();
  },
  async pictured() {
    $("#gallery").innerHTML =
      `<img src="/blue.png" width="50" height="25" alt=""> <img class="queried" src="/green.png?size=2" alt="">`;
    $("#red").src = "/blue.png";
    $("#papered").style.background = "url(/seal.png)";
  },
  async asked() {
    $("#chat").insertAdjacentHTML("beforeend", "<li>May I return a lamp?</li><li class='answer'></li>");
    window.answer = stream($("#chat .answer"));
    await half();
  },
  async answered() {
    await fetch("/go-on", { method: "POST" });
    await window.answer;
    const words = $("#chat .answer").textContent.split(" ");
    $("#chat .answer").innerHTML =
      `<p><strong>${words[0]}</strong> ${words.slice(1).join(" ")}</p><ul><li>unused</li><li>with the bill</li></ul>`;
  },
  async restyled() {
    document.documentElement.classList.add("dark");
    document.styleSheets[1].insertRule("h1 { border-bottom: 2px dotted var(--accent); }", 2);
    $("footer").style.cssText = "margin-top: 20px; color: rgb(200, 120, 0)";
    $("#asked").show();
  },
  async scrolled() {
    $("#asked").close();
    $("#list").prepend($("#list").lastElementChild);
    for (const row of [...$("#list").children].slice(3, 9)) row.remove();
    $("footer").style.marginTop = "400px";
    $("#list").scrollTo(0, 120);
    scrollTo(0, 150);
  },
  async late() {
    $("#frames").innerHTML = `<iframe id="late" srcdoc="<p>A late frame</p>"></iframe>`;
    await new Promise((resolve) => ($("#late").onload = resolve));
  },
};

function element(tag, textContent) {
  return Object.assign(document.createElement(tag), { textContent });
}

async function stream(into) {
  const reader = (await fetch("/answer")).body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) into.append(part.value);
}

/** The server waits in the middle of its answer. */
function half() {
  return new Promise((resolve) => {
    const look = () => ($("#chat .answer").textContent.endsWith("unused,") ? resolve() : setTimeout(look, 20));
    look();
  });
}

/** The page as it is stays so: files are there, and the recorder has seen what it looks at from time to time. */
window.settle = async (ms) => {
  document.activeElement?.blur();
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => undefined)));
  await new Promise((resolve) => setTimeout(resolve, ms));
};
