import { mount } from "svelte";
import App from "./App.svelte";
import css from "./app.css?inline";
import { addStyle } from "./lib/style";

addStyle(css);
mount(App, { target: document.getElementById("app")! });
