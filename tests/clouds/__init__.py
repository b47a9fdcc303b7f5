"""Vendors' clouds of our own: they answer by their records, their clock and the faults given, and change while read."""

from clouds.cloud import Cloud
from clouds.dynamics import Dynamics
from clouds.freshdesk import Freshdesk
from clouds.hubspot import HubSpot
from clouds.intercom import Intercom
from clouds.jira import Jira
from clouds.salesforce import Salesforce
from clouds.servicenow import ServiceNow
from clouds.zendesk import Zendesk

CLOUDS: tuple[type[Cloud], ...] = (Dynamics, Freshdesk, HubSpot, Intercom, Jira, Salesforce, ServiceNow, Zendesk)
"""All of them; a test compares them with the manifests of vendors in the cloud."""
