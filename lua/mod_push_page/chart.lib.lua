-- Draws counts by minute as stacked bars, in SVG.

local WIDTH, HEIGHT, TOP, BOTTOM, LEFT = 720, 200, 12, 20, 36;
-- Minutes that are drawn, and those of one bar.
local DAY, BAR = 1440, 10;
local BARS = DAY / BAR;
-- Hours between the labels on the axis.
local HOURS = 6;

-- A number with one decimal where it is small.
local function number(n)
	return n == math.floor(n) and ("%d"):format(n) or n < 10 and ("%.1f"):format(n) or ("%.0f"):format(n);
end

-- html: that of the page; title; names: of the series to draw; histories: prosody_push.History of each protocol
return function (html, title, names, histories)
	local sums, totals, highest = {}, {}, 0;
	for bar = 1, BARS do sums[bar] = {}; end
	for _, history in ipairs(histories) do
		local place = {};
		for i, name in ipairs(history.series) do place[name] = i; end
		for _, minute in ipairs(history.minutes) do
			local bar = sums[BARS - math.floor(minute.ago / BAR)];
			for _, name in ipairs(names) do
				local n = minute.counts[place[name]];
				bar[name] = (bar[name] or 0) + n;
				totals[name] = (totals[name] or 0) + n;
			end
		end
	end
	for bar = 1, BARS do
		local sum = 0;
		for _, name in ipairs(names) do sum = sum + (sums[bar][name] or 0); end
		highest = math.max(highest, sum);
	end
	local width = (WIDTH - LEFT) / BARS;
	local scale = highest > 0 and (HEIGHT - TOP - BOTTOM) / highest or 0;
	local below, paths, legend = {}, {}, {};
	for i, name in ipairs(names) do
		local steps = {};
		for bar = 1, BARS do
			local n = sums[bar][name] or 0;
			if n > 0 then
				local y = HEIGHT - BOTTOM - (below[bar] or 0);
				steps[#steps + 1] = ("M%.1f %.1fv%.1fh%.1fV%.1fz"):format(LEFT + (bar - 1) * width, y, -n * scale, width - 0.5, y);
				below[bar] = (below[bar] or 0) + n * scale;
			end
		end
		paths[i] = html.path({ class = name, d = table.concat(steps) });
		legend[i] = html.li({}, html.span({ class = "swatch "..name }), ("%s: %d"):format((name:gsub("_", " ")), totals[name] or 0));
	end
	local lines = {};
	for hours = 0, DAY / 60, HOURS do
		local x = WIDTH - hours * 60 / BAR * width;
		lines[#lines + 1] = html.text({ x = ("%.0f"):format(x), y = HEIGHT - 4, ["text-anchor"] = hours == 0 and "end" or "middle" },
			hours == 0 and "now" or hours.." h");
	end
	return html.figure({},
		html.figcaption({}, title),
		html.svg({ viewBox = ("0 0 %d %d"):format(WIDTH, HEIGHT), role = "img", ["aria-label"] = title },
			html.path({ class = "axis", d = ("M%d %dV%dH%d"):format(LEFT, TOP, HEIGHT - BOTTOM, WIDTH) }),
			html.text({ x = LEFT - 4, y = TOP + 4, ["text-anchor"] = "end" }, number(highest / BAR)),
			html.text({ x = LEFT - 4, y = HEIGHT - BOTTOM, ["text-anchor"] = "end" }, "0"),
			paths, lines),
		html.ul({ class = "legend" }, legend));
end
