-- Median and quartiles: the machine is busy with other things too.
local function quantile(sorted, q)
	local position = 1 + (#sorted - 1) * q;
	local low = math.floor(position);
	local high = math.min(low + 1, #sorted);
	return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
end

return {
	of = function (values)
		local sorted = table.move(values, 1, #values, 1, {});
		table.sort(sorted);
		return { median = quantile(sorted, 0.5); low = quantile(sorted, 0.25); high = quantile(sorted, 0.75) };
	end;
};
