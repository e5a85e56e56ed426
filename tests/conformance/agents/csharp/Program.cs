// SPDX-License-Identifier: MIT
// Reads requests, calls the operation, writes answers: see ../../README.md.
using System.Text.Json.Nodes;
using Machnet;
using Machnet.Conformance;

var agent = new Agent();
while (Console.In.ReadLine() is { } line)
{
    var request = new Request(JsonNode.Parse(line)!.AsObject());
    JsonObject answer = agent.Answer(request);
    answer["id"] = request.Id;
    Console.Out.WriteLine(answer.ToJsonString());
    Console.Out.Flush();
}
agent.Reset([]);
return 0;
