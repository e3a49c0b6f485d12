import { mount } from "svelte";
import Analytics from "./components/Analytics.svelte";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";

mount(Analytics, { target: document.getElementById("app")! });
