// Writes what is made from the contracts: openapi.json, and the generated part of docs/protocol.md.
import { readFileSync, writeFileSync } from "node:fs";
import { openApiDocument } from "../dist/contracts/openapi.js";
import { withSections } from "../dist/contracts/protocol-document.js";
import { allRoutes } from "../dist/contracts/routes.js";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync("openapi.json", `${JSON.stringify(openApiDocument(allRoutes, version), null, 2)}\n`);
writeFileSync("docs/protocol.md", withSections(readFileSync("docs/protocol.md", "utf8")));
