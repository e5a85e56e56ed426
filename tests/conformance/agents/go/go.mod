module machnet.invalid/conformance

go 1.19

require machnet.invalid/machnet v0.0.0

replace machnet.invalid/machnet => ../../../../bindings/go
