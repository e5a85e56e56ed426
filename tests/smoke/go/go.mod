module machnet.invalid/smoke

go 1.19
