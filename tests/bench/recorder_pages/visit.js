// A page such as many are: a chat whose answers stream in, a table that is sorted and marked, a list of what was said.
const $ = (selector) => document.querySelector(selector);
const ROWS = 200;
let orders = Array.from({ length: ROWS }, (_, i) => ({ id: i, name: `Order ${(i * 7919) % 1000}`, price: (i * 37) % 400 }));

$("#ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const chat = $("#chat");
  chat.insertAdjacentHTML("beforeend", `<p class="user"></p><div class="answer"></div>`);
  chat.querySelector(".user:last-of-type").textContent = $("#question").value;
  $("#question").value = "";
  const answer = chat.lastElementChild;
  const text = answer.appendChild(document.createTextNode(""));
  const reader = (await fetch("/answer", { method: "POST" })).body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text.data += part.value;
    chat.scrollTop = chat.scrollHeight;
  }
  answer.innerHTML = text.data.split("\n").map((line) => `<p>${line.replace(/\*(\w+)\*/g, "<b>$1</b>")}</p>`).join("");
  document.body.dataset.answers = String(Number(document.body.dataset.answers ?? 0) + 1);
});

function draw() {
  $("#orders tbody").innerHTML = orders
    .map(({ id, name, price }) => `<tr id="row-${id}"><td>${id}</td><td>${name}</td><td>${price} €</td></tr>`)
    .join("");
}

$("#orders-tab").addEventListener("click", (event) => {
  event.preventDefault();
  history.pushState({}, "", `/orders/${Math.random().toString(36).slice(2, 6)}`);
  draw();
});
$("#chat-tab").addEventListener("click", (event) => {
  event.preventDefault();
  history.pushState({}, "", "/chat");
  fetch("/missing").then((response) => console.error(`no news: ${response.status}`));
});
$("#sort").addEventListener("click", () => {
  orders = orders.reverse().sort((one, other) => (one.price - other.price) || 0);
  orders.push(orders.shift());
  $("#orders tbody").append(...orders.map(({ id }) => $(`#row-${id}`)));
});
$("#mark").addEventListener("click", () => {
  let frame = 0;
  const step = () => {
    const row = $(`#row-${(frame * 13) % ROWS}`);
    row.classList.toggle("marked");
    row.style.opacity = String(0.5 + (frame % 50) / 100);
    if (++frame < 60) requestAnimationFrame(step);
  };
  step();
});
draw();
