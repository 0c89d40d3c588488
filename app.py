"""The CDK app: what `npx cdk deploy` makes of the context that it is given."""

import os
import sys

import aws_cdk as cdk

from infra.config import ConfigError, read
from infra.stacks import build

app = cdk.App()
try:
    config = read(app.node.get_all_context(), os.environ)
except ConfigError as error:
    sys.exit(str(error))
build(app, config)
app.synth()
