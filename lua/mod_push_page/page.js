// Updates the sections that have changed, and shows the result of a push without loading the page again. The page works without this
// script.
"use strict";

// The address without a user and a password, because fetch() refuses an address that has them.
const page = new URL(location.pathname.replace(/[^/]*$/, "") + location.search, location.origin);
const PERIOD = 3000;

async function refresh() {
	const answer = await fetch(page, { headers: { Accept: "text/html" } });
	if (!answer.ok) { return; }
	const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
	for (const section of document.querySelectorAll("section[data-live]")) {
		const other = fresh.getElementById(section.id);
		if (other && other.outerHTML !== section.outerHTML && !section.contains(document.activeElement)) {
			section.replaceWith(document.adoptNode(other));
		}
	}
}

function say(fate, text, hint) {
	const strong = document.createElement("strong");
	const bdi = document.createElement("bdi");
	const place = document.getElementById("answer");
	bdi.textContent = text;
	strong.append(bdi);
	place.className = fate;
	place.replaceChildren(strong, " ", hint);
}

async function submit(form) {
	const button = form.querySelector("button");
	const start = Date.now();
	button.disabled = true;
	const waits = setInterval(() => {
		say("waits", "Waiting for an answer …", `${Math.round((Date.now() - start) / 1000)} s`);
	}, 1000);
	say("waits", "Waiting for an answer …", "");
	try {
		const answer = await fetch(new URL(form.getAttribute("action"), page), {
			method: "POST",
			headers: { Accept: "application/json" },
			body: new URLSearchParams(new FormData(form)),
		});
		const result = await answer.json();
		say(result.fate || "error", result.text || result.error, result.hint || "");
	} catch (error) {
		say("error", "The server did not answer.", "Is it running, and are you connected?");
	}
	clearInterval(waits);
	button.disabled = false;
	button.blur();
	await refresh();
}

document.addEventListener("submit", (event) => {
	if (event.target.method !== "post") { return; }
	event.preventDefault();
	submit(event.target);
});

// A hidden page sends no requests.
setInterval(() => { if (!document.hidden) { refresh().catch(() => {}); } }, PERIOD);
