module machnet.invalid/machnet

go 1.19
